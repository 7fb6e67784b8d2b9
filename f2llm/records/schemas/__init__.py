"""Schemas of all tables, one file for each stage that writes them: the contract between the stages."""
