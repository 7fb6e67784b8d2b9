"""What verifying finds, and how it is told."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

INTACT, CHANGED, UNCHECKED = "intact", "changed", "cannot be checked"
UNHASHED = "not hashed"


class Finding(NamedTuple):
    """The state of one artefact, and why."""

    state: str  # intact | changed | cannot be checked | not hashed
    path: str  # as in the manifests: relative to the checkout
    what: str


def has_changed(findings: Sequence[Finding]) -> bool:
    """Say whether anything is not as it was made."""
    return any(one.state == CHANGED for one in findings)


def finding_lines(findings: Sequence[Finding], *, everything: bool = False) -> list[str]:
    """Return a line for each artefact that is not intact (or for all), and the counts last."""
    shown = [one for one in findings if everything or one.state != INTACT]
    lines = [f"{one.state:17s}  {one.path}: {one.what}" for one in sorted(shown, key=lambda one: one.state != CHANGED)]
    counts = Counter(one.state for one in findings)
    states = [INTACT, CHANGED, UNCHECKED, *([UNHASHED] if counts[UNHASHED] else [])]
    return [*lines, ", ".join(f"{counts[state]:,} {state}" for state in states)]
