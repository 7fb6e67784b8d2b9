"""What a run will take, and how far that was from the truth."""
