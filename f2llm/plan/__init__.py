"""Token rows, and which tuple is seen at which step with which negatives; needs no torch."""
