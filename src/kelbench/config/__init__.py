"""Settings read from YAML, checked before anything runs. No torch here: the Snakefile imports this package."""
