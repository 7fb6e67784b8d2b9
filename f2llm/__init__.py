"""F2LLM pipeline: public data in, an MTEB-scored text-embedding model out, every tuple traceable."""
