"""The data of evaluation tasks: drawn, of mteb, or local files."""
