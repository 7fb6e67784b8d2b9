"""Mining measured."""
