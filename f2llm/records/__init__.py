"""The tables of the pipeline: schemas, ids, and reading and writing that never leaves half a file."""
