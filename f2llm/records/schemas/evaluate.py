"""Files of an evaluation that other packages read."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.records.files import read_json, write_json
from f2llm.records.schemas.sources import SkippedSources


class GateVerdict(NamedTuple):
    """The verdict on a run: runs/{run}/gate.json, which is there only for a run that passed.

    Means and gains are in points, over the tasks on which every model has a score.
    """

    run: str
    mean: float
    base_last: float  # mean of the base with last-token pooling
    base_mean: float  # mean of the base with mean pooling
    gain_over_last: float
    gain_over_mean: float
    thresholds: dict[str, float]  # over_base_last, over_base_mean: the least gains that pass
    passed: bool
    in_domain: dict[str, float | int | None]  # tasks, mean, base_last, base_mean over tasks of sources trained on
    untrained: dict[str, float | int | None]  # the same over all others
    tasks: int
    tasks_not_improved: list[str]
    tasks_skipped: list[str]  # without rows
    tasks_undefined: Sequence[str] = ()  # some model's main score is not a number; older files lack the key
    sources_skipped: SkippedSources = SkippedSources()  # older files lack the key

    def write(self, path: str | Path) -> None:
        """Write gate.json."""
        write_json(path, self._asdict() | {"sources_skipped": self.sources_skipped.as_json()})

    @classmethod
    def read(cls, path: str | Path) -> "GateVerdict":
        """Read gate.json."""
        content = read_json(path)
        skipped = content.get("sources_skipped")
        return cls(**content | {"sources_skipped": SkippedSources.of_json(skipped) if skipped else SkippedSources()})
