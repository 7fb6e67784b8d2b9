"""The one exception that means: the input is at fault, and here is what to do."""

from collections.abc import Sequence


class InputError(ValueError):
    """Say where the input is wrong, what is wrong and what to do; several faults at once.

    Each fault is one line in the form "where: what; what to do". The command line and the
    rule scripts print these lines without a traceback (the traceback goes to the log).
    """

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))
