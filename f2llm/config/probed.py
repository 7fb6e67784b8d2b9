"""What a probe is given: the places of a source, model or task, and of a source how its rows are read and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from f2llm.config.build import digest
from f2llm.config.fetch import Fetch, plain_places
from f2llm.config.rights import Licence


@dataclass(frozen=True, kw_only=True)
class Probed:
    """One source, model or task; the keys with a default are those that only sources have."""

    kind: Literal["source", "model", "task"]
    name: str
    fetch: tuple[Fetch, ...]
    licence: Licence | None  # None where nothing of ours states one
    task: str = ""  # what the rows are
    adapter: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    max_queries: int | None = None
    max_passages: int | None = None
    expected_queries: int | None = None
    expected_passages: int | None = None

    @property
    def owner(self) -> str:
        """How faults name it: "source squad"."""
        return f"{self.kind} {self.name}"


def reading_key(places: Sequence[Fetch], *, adapter: str = "", options: Mapping[str, Any] | None = None) -> str:
    """Names what is read: a probe of other places, patterns or options says nothing of it."""
    return digest([plain_places(places), adapter, options or {}])
