"""CLEP: graph and text encoders aligned by contrastive pre-training."""

from kelbench.methods.clep.run import train

__all__ = ["train"]
