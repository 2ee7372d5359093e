"""What turns entities and relations into vectors."""
