"""Digests of code that the jobs of a run take over from the process that planned it.

Parsing all modules takes two seconds of processor time, and every job reads the workflow anew. Digests are taken over
only while every byte of the code is as it was: who edits code beside a live run gets what the edited code digests to.
"""

import json
import os

from f2llm.provenance import code_digest, code_hash

VARIABLE = "F2LLM_CODE_DIGESTS"


class Digests:
    """Digests of what scripts run, by their paths; `shared`: those of the process that planned the run are taken."""

    def __init__(self, *, shared: bool) -> None:
        """Read what the environment has."""
        self._hash = code_hash()
        given = json.loads(os.environ.get(VARIABLE) or "{}") if shared else {}
        self._known: dict[str, str] = given["digests"] if given.get("hash") == self._hash else {}

    def of(self, *paths: str) -> str:
        """Return the digest of what `paths` (relative to the repository root) run, and leave it for the jobs."""
        key = " ".join(paths)
        if key not in self._known:
            self._known[key] = code_digest(*paths)
            os.environ[VARIABLE] = json.dumps({"hash": self._hash, "digests": self._known})
        return self._known[key]
