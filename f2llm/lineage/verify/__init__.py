"""Whether the files of a run are what its manifests say."""
