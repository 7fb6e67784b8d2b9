"""When a run was done: manifests hold no dates, so that two runs give the same bytes."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path


def newest(manifests: Iterable[str | Path]) -> datetime:
    """Return when the last of some jobs ended, by the time of its manifest, in UTC; SOURCE_DATE_EPOCH stands in."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    seconds = int(given) if given else max((int(Path(path).stat().st_mtime) for path in manifests), default=0)
    return datetime.fromtimestamp(seconds, UTC)
