"""Curation measured."""
