"""The one exception that means: the input is at fault, and here is what to do."""

import errno
from collections.abc import Sequence

SKIP = "skip"
# Three ways in which a disk says that there is no room.
FULL = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "your quota on this disk is used up",
    errno.EFBIG: "the file would be larger than this machine allows (ulimit -f)",
}


class InputError(ValueError):
    """Say where the input is wrong, what is wrong and what to do; several faults at once.

    Each fault is one line in the form "where: what; what to do". The command line and the
    rule scripts print these lines without a traceback (the traceback goes to the log).
    """

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))


class SourceError(InputError):
    """The source cannot be mined; other sources can."""
