"""kelbench: exact, reproducible benchmarks of knowledge embedding methods."""

__version__ = "0.1.0"
