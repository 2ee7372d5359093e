"""The training engine: loop, losses, negatives, optimizers, checkpoints."""
