"""A share of the rows of a table, for one of several jobs on it."""

from typing import NamedTuple


class Share(NamedTuple):
    """Share `number` (from 0) of `of` equal ones."""

    number: int
    of: int

    def rows(self, count: int) -> range:
        """Return its rows of a table of so many."""
        return range(count * self.number // self.of, count * (self.number + 1) // self.of)


WHOLE = Share(0, 1)
