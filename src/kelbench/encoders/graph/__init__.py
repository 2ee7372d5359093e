"""Graph encoders: vectors of nodes and relations from features and the edges between them."""
