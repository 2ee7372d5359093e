"""Datasets: registry files fetched, verified, parsed, audited and stored as arrays with a manifest."""
