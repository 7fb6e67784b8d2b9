"""Planning, estimate and normalising measured: what concerns the whole run."""
