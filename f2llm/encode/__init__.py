"""Texts to vectors: prompts, precision, pooling, the encoder and its content-keyed vector store."""
