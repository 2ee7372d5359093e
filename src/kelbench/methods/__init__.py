"""One file or folder for each system that is benchmarked."""
