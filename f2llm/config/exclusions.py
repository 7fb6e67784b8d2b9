"""Rows, texts (by id) and whole sources that must not be used. The file of them holds no text itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from f2llm.config.build import build, plain
from f2llm.config.check import check, load_schema
from f2llm.records.errors import InputError
from f2llm.records.yaml_files import read_yaml

FILE = "exclude.yaml"


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """A row of a file, a text by its id, or, with neither, a whole source."""

    source: str
    reason: str
    file: str = ""
    row: int | None = None
    id: str = ""

    @property
    def whole(self) -> bool:
        """Whether the whole source is excluded."""
        return not self.file and not self.id


def read_exclusions(path: str | Path) -> tuple[Exclusion, ...]:
    """The exclusions of a file; none where there is no such file.

    Raises:
        InputError: every fault of the file.
    """
    if not Path(path).is_file():
        return ()
    content = read_yaml(path) or []
    faults = check(content, schema=load_schema("exclude"), where=str(path))
    if faults:
        raise InputError(faults)
    return tuple(build(Exclusion, item) for item in content)


def add_exclusions(path: str | Path, added: Sequence[Exclusion]) -> int:
    """Add to the end of a file what is not in it yet, and return how many were added; comments stay."""
    known = {replace(exclusion, reason="") for exclusion in read_exclusions(path)}
    new = [exclusion for exclusion in dict.fromkeys(added) if replace(exclusion, reason="") not in known]
    if new:
        rows = [{key: value for key, value in plain(exclusion).items() if value not in ("", None)} for exclusion in new]
        with open(path, "a", encoding="utf-8") as file:
            file.write(yaml.safe_dump(rows, sort_keys=True, allow_unicode=True, width=1000))
    return len(new)


def of_source(exclusions: Sequence[Exclusion], name: str) -> list[dict[str, object]]:
    """The exclusions of one source as plain JSON, without the reasons: what decides its tables."""
    of_rows = [exclusion for exclusion in exclusions if exclusion.source == name and not exclusion.whole]
    return [plain(replace(exclusion, reason="")) for exclusion in of_rows]
