"""KEPLER and its variants (Wang et al. 2021), DKRL, and a bi-encoder: text encoders trained to predict links."""

from kelbench.methods.kepler.run import train

__all__ = ["train"]
