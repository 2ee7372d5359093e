"""atlas: an open knowledge graph of true facts about the world, with descriptions written for it."""
