"""What a probe is given: the places of a source, model or task, and of a source how its rows are read and counted."""

from dataclasses import dataclass, field
from typing import Any, Literal

from f2llm.config.fetch import Fetch
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
