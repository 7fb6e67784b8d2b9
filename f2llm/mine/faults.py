"""A fault of one source, after which a run may go on without it."""

from f2llm.errors import InputError

SKIP = "skip"


class SourceError(InputError):
    """The source cannot be mined; other sources can."""
