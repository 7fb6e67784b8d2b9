"""The pages of a run: one file a section, with a template of the same name."""
