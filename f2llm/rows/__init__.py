"""The files of a user as rows: which files of a folder are data, how they are unpacked, what a cell holds."""
