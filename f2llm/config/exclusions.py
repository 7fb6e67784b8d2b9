"""What of the sources must not be used: rows, texts by id, or whole sources. It holds no text itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from f2llm.config.build import build, plain
from f2llm.config.check import check, load_schema, read_yaml
from f2llm.config.licences import Barred
from f2llm.config.sources import Source
from f2llm.errors import InputError

FILE = "exclude.yaml"
EXCLUDED = "excluded: "


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
        """Whether nothing of the source may be used."""
        return not self.file and not self.id


def read_exclusions(path: str | Path) -> tuple[Exclusion, ...]:
    """Return the exclusions of a file; none where there is no such file.

    Raises:
        InputError: every fault of the file.
    """
    if not Path(path).is_file():
        return ()
    content = read_yaml(path) or []
    faults = check(content, schema=load_schema("exclude"), where=str(path))
    if faults:
        raise InputError(faults)
    return tuple(build(Exclusion, one) for one in content)


def add_exclusions(path: str | Path, added: Sequence[Exclusion]) -> int:
    """Add to the end of a file what is not in it yet, and return how many were added; comments stay."""
    known = {replace(one, reason="") for one in read_exclusions(path)}
    new = [one for one in dict.fromkeys(added) if replace(one, reason="") not in known]
    if new:
        rows = [{key: value for key, value in plain(one).items() if value not in ("", None)} for one in new]
        with open(path, "a", encoding="utf-8") as file:
            file.write(yaml.safe_dump(rows, sort_keys=True, allow_unicode=True, width=1000))
    return len(new)


def excluded_sources(sources: Sequence[Source], exclusions: Sequence[Exclusion]) -> tuple[Barred, ...]:
    """Return the sources that are excluded as a whole."""
    whole = {one.source: one.reason for one in exclusions if one.whole}
    return tuple(
        Barred(name=source.name, reason=f"{EXCLUDED}{whole[source.name]}") for source in sources if source.name in whole
    )


def of_source(exclusions: Sequence[Exclusion], name: str) -> list[dict[str, object]]:
    """Return what decides the tables of one source: not the reasons."""
    return [plain(replace(one, reason="")) for one in exclusions if one.source == name and not one.whole]
