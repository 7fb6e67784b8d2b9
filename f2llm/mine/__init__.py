"""Hard negatives: exact search over stored vectors, the selection rule, draws for texts with classes."""
