"""Files that a stanza names and no rows are read of: a fault before anything is fetched."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from f2llm.config.fetch import Fetch
from f2llm.config.sources import Source
from f2llm.rows.layout import SUFFIXES, holds_rows
from f2llm.sources.adapters import reads_rows


def unread_files(sources: Iterable[Source]) -> list[str]:
    """One line for each file of a source that is named, and not by a pattern or folder, and that it cannot read."""
    return [
        f"source {source.name}: {name}: no rows are read of such a file; use {', '.join(SUFFIXES)}, a database with "
        "`kind: sql`, or the option `member` for a file in an archive"
        for source in sources
        if reads_rows(source.adapter) and not source.options.get("member")
        for place in source.fetch
        for name in _named_files(place)
        if not holds_rows(name)
    ]


def _named_files(place: Fetch) -> Iterator[str]:
    if place.kind == "local" and Path(place.path).is_file():
        yield place.path
    elif place.kind == "hub":
        yield from (name for name in place.files if not set(name) & set("*?["))
    elif place.kind == "http":
        yield urlsplit(place.url).path
