"""`f2llm add-source`: a look at files that a user has, or that lie on the hub, becomes a stanza to read and correct."""
