"""The loss of a batch: its terms, one file a family."""
