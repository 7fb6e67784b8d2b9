"""Which sources a run may be trained on by its licence policy. It bars training alone: nothing is copied by scoring."""

from collections.abc import Sequence
from dataclasses import dataclass

from f2llm.config.sources import Source

# Policy -> values of `licence.commercial` that it lets in.
ALLOWED = {"any": ("yes", "no", "unknown"), "stated": ("yes", "no"), "commercial": ("yes",)}


@dataclass(frozen=True, kw_only=True)
class Barred:
    """A source that the policy keeps out, and why."""

    name: str
    reason: str


def barred_sources(sources: Sequence[Source], *, policy: str) -> tuple[Barred, ...]:
    """Return the sources that `policy` (a key of ALLOWED) keeps out, in their order."""
    return tuple(
        Barred(name=source.name, reason=f"licence {source.licence.id}, commercial use: {source.licence.commercial}")
        for source in sources
        if source.licence.commercial not in ALLOWED[policy]
    )
