"""A run as it lies on disk: run.json, layout, manifests, funnel, settings, gaps, what is withheld."""
