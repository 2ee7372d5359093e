"""CompGCN and R-GCN with a decoder, from nothing or from another run's graph encoder, CLEP's say."""

from kelbench.methods.graph_decoders.run import train

__all__ = ["train"]
