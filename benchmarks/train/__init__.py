"""Training measured."""
