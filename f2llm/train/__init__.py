"""A planned run to a trained model: the step that does not know the world size, losses, checkpoints, export."""
