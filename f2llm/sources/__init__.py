"""Read the rows of sources into tables, make model folders of what was fetched, and look at sources before a run."""
