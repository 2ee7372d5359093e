"""TransE, DistMult, ComplEx, RotatE and SimplE, trained by kelbench's own engine."""

from kelbench.methods.ke.embedding import KnowledgeEmbedding, initial_tables
from kelbench.methods.ke.run import train

__all__ = ["KnowledgeEmbedding", "initial_tables", "train"]
