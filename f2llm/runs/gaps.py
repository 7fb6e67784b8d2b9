"""Notes on what a report could not read: a run half done, a table deleted, a foreign file."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from f2llm.records.errors import InputError
from f2llm.runs.withheld import withheld

MOST_CHARACTERS = 300  # of a reason
# What reading a foreign or older file raises: bad JSON, Parquet or text, and columns or keys that are not there.
UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError)


class Gaps:
    """Takes notes on what was missing, by section; a section goes on without it."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._section = ""
        self.notes: dict[str, list[str]] = {}

    @contextlib.contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Note what goes wrong in the block under `name`."""
        before, self._section = self._section, name
        try:
            with self.noting(name):
                yield
        finally:
            self._section = before

    @contextlib.contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Go on after the block when a file is missing or cannot be read; `what` names what is then lacking."""
        try:
            yield
        except FileNotFoundError as error:
            self.add(f"{what}: {self._short(str(error.filename or error))} is missing; the run has not come so far, "
                     "or it was deleted")  # fmt: skip
        except InputError as error:
            self.add(f"{what}: {self._short(error.faults[0])}")
        except (OSError, *UNREADABLE) as error:
            reason = f"{type(error).__name__}: {self._short(str(error))}"[:MOST_CHARACTERS]
            self.add(f"{what}: cannot be read ({reason}); the file is damaged, foreign, or of another version")

    def add(self, note: str) -> None:
        """Add a note to the section that is being made, once."""
        notes = self.notes.setdefault(self._section, [])
        if note not in notes:
            notes.append(note)

    def _short(self, text: str) -> str:
        """Shorten a message: paths as they are below the checkout, without names of this machine."""
        path = re.search(re.escape(str(self._results.absolute())) + r"[^\s'\"]*", text)
        if path and "Failed to open" in text:  # Parquet's reader: the path says it all
            text = path[0]
        for results in (str(self._results.absolute()), str(self._results)):
            text = text.replace(results, "results") if results else text
        return withheld(text)


class NoGaps(Gaps):
    """For readers that need every table: what is missing raises as if nobody took notes."""

    @contextlib.contextmanager
    def noting(self, what: str) -> Iterator[None]:  # noqa: ARG002 - as that of Gaps
        """Let everything through that the block raises."""
        yield
