"""One file for each evaluation. A task takes vectors or predictions and never asks which method made them."""
