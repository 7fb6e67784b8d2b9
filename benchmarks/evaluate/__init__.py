"""Scoring measured."""
