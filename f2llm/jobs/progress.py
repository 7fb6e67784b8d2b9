"""Progress of long work as plain lines with rate and ETA, readable in a terminal and in a log.

Several jobs share one terminal, so there are no redrawn bars: a line every 5 seconds when a
person watches, a line a minute in a log, nothing for work shorter than that, and always a
closing line for work that took longer.
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

TERMINAL_SECONDS = 5.0
LOG_SECONDS = 60.0
Item = TypeVar("Item")
logger = logging.getLogger(__name__)


class Progress:
    """Counts finished work and logs it: done/total, percentage, rate, ETA.

    Use as a context manager; call `advance(n)` after each piece. `total` may be None when it
    is not known. `unit` is a plural noun ("passages").
    """

    def __init__(self, what: str, *, total: int | None, unit: str) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self._every = TERMINAL_SECONDS if sys.stderr.isatty() else LOG_SECONDS
        self._start = self._last = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is None and time.monotonic() - self._start >= TERMINAL_SECONDS:
            self._log("done")

    def advance(self, count: int = 1) -> None:
        """Add `count` finished units; logs when the last line is old enough."""
        self.done += count
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._log(self._eta(now))

    def _eta(self, now: float) -> str:
        if not self.total or not self.done:
            return "ETA unknown"
        return f"ETA {(now - self._start) * (self.total - self.done) / self.done:.0f} s"

    def _log(self, ending: str) -> None:
        elapsed = max(time.monotonic() - self._start, 1e-9)
        share = f"/{self.total:,} ({100 * self.done / self.total:.0f} %)" if self.total else ""
        logger.info(
            "%s: %s%s %s, %.4g/s, %s", self.what, f"{self.done:,}", share, self.unit, self.done / elapsed, ending
        )


def progress(items: Iterable[Item], what: str, *, total: int | None, unit: str) -> Iterator[Item]:
    """Yield `items`, counting each as one unit of progress."""
    with Progress(what, total=total, unit=unit) as bar:
        for item in items:
            yield item
            bar.advance()
