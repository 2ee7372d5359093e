"""Exact filtered ranking of link prediction queries, and the metrics made of ranks."""
