"""Readers of file formats that several adapters share."""
