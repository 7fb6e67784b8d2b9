"""Fetch the files of a source or model, pinned by hash, and read their rows into the tables."""
