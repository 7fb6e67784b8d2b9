"""Mined tuples to a trained model: tokens, plan, the step that does not know the world size, export."""
