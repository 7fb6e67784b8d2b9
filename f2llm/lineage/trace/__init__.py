"""From an id, text, step, model or score back to its rows, and forward to what used it."""
