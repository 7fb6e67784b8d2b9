"""Questions to a finished run measured."""
