"""Digests of code that are computed once: kept for the next call, and taken over by the jobs of a run.

Parsing all modules takes two seconds of processor time, and every job reads the workflow anew. A digest is taken over
only while every byte of the code and every version that it mixes in are as they were: who edits code beside a live
run gets what the edited code digests to.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from f2llm.jobs.code import code_digest, code_hash, result_versions
from f2llm.records.files import read_json, write_json

VARIABLE = "F2LLM_CODE_DIGESTS"


class Digests:
    """Digests of what scripts run, by their paths; kept in the file `kept`, which may be deleted at any time."""

    def __init__(self, *, kept: str | Path, planning: bool) -> None:
        """Read what is kept: by the process that plans from the file, by its jobs from their environment."""
        self._kept, self._planning = Path(kept), planning
        versions = json.dumps(result_versions(), sort_keys=True)
        self._key = hashlib.sha256(f"{code_hash()}\0{versions}".encode()).hexdigest()
        given = self._read() if planning else json.loads(os.environ.get(VARIABLE) or "{}")
        self._known: dict[str, str] = dict(given["digests"]) if given.get("key") == self._key else {}
        self._leave()

    def of(self, *paths: str) -> str:
        """Return the digest of what `paths` (relative to the repository root) run, and leave it for the jobs."""
        name = " ".join(paths)
        if name not in self._known:
            self._known[name] = code_digest(*paths)
            self._leave()
        return self._known[name]

    def keep(self) -> None:
        """Write the file, where that is possible."""
        content = {"key": self._key, "digests": self._known}
        if self._planning and content != self._read():
            with contextlib.suppress(OSError):
                write_json(self._kept, content)

    def _leave(self) -> None:
        if self._planning:
            os.environ[VARIABLE] = json.dumps({"key": self._key, "digests": self._known})

    def _read(self) -> dict[str, object]:
        try:
            return read_json(self._kept)
        except (OSError, ValueError):
            return {}
