"""Questions to finished runs: trace, verify, diff, forget."""
