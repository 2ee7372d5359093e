"""Controls: what scorers reach that learn nothing, from the graph or from texts."""

from kelbench.methods.controls.run import train

__all__ = ["train"]
