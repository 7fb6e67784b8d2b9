"""Evaluation: tasks of held-out rows, scored by mteb, and what a run gained over its base."""
