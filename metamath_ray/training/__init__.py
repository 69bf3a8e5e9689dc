"""The torch side: losses, optimizers, stages, checkpoints. Nothing here knows of Ray."""
