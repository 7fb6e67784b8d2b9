"""Read all tables: the report of a run, and traces from a tuple back to its rows."""
