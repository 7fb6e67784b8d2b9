"""What verifying finds: the state of an artefact, and findings as lines for a person."""

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
    return any(finding.state == CHANGED for finding in findings)


def finding_lines(findings: Sequence[Finding], *, everything: bool = False) -> list[str]:
    """A line for each artefact that is not intact (or for all), changed ones first, and the counts last."""
    shown = [finding for finding in findings if everything or finding.state != INTACT]
    shown.sort(key=lambda finding: finding.state != CHANGED)
    lines = [f"{finding.state:17s}  {finding.path}: {finding.what}" for finding in shown]
    counts = Counter(finding.state for finding in findings)
    states = [INTACT, CHANGED, UNCHECKED, *([UNHASHED] if counts[UNHASHED] else [])]
    return [*lines, ", ".join(f"{counts[state]:,} {state}" for state in states)]
