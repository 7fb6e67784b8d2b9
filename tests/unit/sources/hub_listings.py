"""The listings of hub_listings.yaml: what public pages show of the repositories that the stanzas name."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.fetch import Fetch
from f2llm.records.yaml_files import read_yaml

FILE = Path(__file__).with_name("hub_listings.yaml")


class Listing(NamedTuple):
    """What is known of a repository at a revision, or of the file of a URL; the keys of the YAML file say it all."""

    seen: str
    files: dict[str, int]  # name -> bytes, every series spelt out
    rows: dict[str, int]
    columns: dict[str, dict[str, str]]
    lists: tuple[str, ...]
    estimated: tuple[str, ...]  # patterns of the files whose sizes are estimates
    licence: str

    def matching(self, *patterns: str) -> list[str]:
        """The names that one of the patterns matches, in the order of their names."""
        return sorted(name for name in self.files if any(fnmatchcase(name, pattern) for pattern in patterns))

    def columns_of(self, name: str) -> dict[str, str] | None:
        """Column -> type of a file that holds rows; None for any other."""
        return next((columns for pattern, columns in self.columns.items() if fnmatchcase(name, pattern)), None)

    def rows_of(self, names: list[str]) -> int | None:
        """Rows of these files, files of one pattern being of one length; None where those of one are not known."""
        rows = 0.0
        for name in names:
            pattern = next((pattern for pattern in self.rows if fnmatchcase(name, pattern)), None)
            if pattern is None:
                return None
            rows += self.rows[pattern] / len(self.matching(pattern))
        return round(rows)


def key_of(fetch: Fetch) -> str:
    """How the file names a place of a stanza: "owner/name@revision", or its URL."""
    return fetch.url or f"{fetch.repository}@{fetch.revision or fetch.branch or 'main'}"


def read_listings() -> dict[str, Listing]:
    """All listings by the key of their place."""
    return {key: _listing(entry) for key, entry in read_yaml(FILE).items()}


def _listing(entry: dict[str, Any]) -> Listing:
    files: dict[str, int] = {}
    for name, size in entry["files"].items():
        if isinstance(size, int):
            files[name] = size
        else:
            files |= {name.format(number): size["bytes"] for number in range(size["count"])}
    estimated = entry.get("estimated", [])
    return Listing(
        seen=entry["seen"], files=files, rows=entry.get("rows", {}), columns=entry.get("columns", {}),
        lists=tuple(entry.get("lists", ())), estimated=("*",) if estimated is True else tuple(estimated),
        licence=entry.get("licence", ""),
    )  # fmt: skip
