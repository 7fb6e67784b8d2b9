"""Prove the places of sources, models and tasks before a file is downloaded whole."""
