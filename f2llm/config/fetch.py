"""Which files to fetch, and from where; the meaning of the keys is in workflow/schemas/fetch.schema.yaml."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from f2llm.config.build import digest, plain
from f2llm.config.geometry import Geometry
from f2llm.config.rights import Licence


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Files to fetch from one place.

    Files of the kind hub are verified against the hub's listing at a commit, the others by `sha256`. If the stanza
    states no revision or sha256, that of the first fetch is locked. The defaults are for evaluation tasks, whose
    places have no stanza: a commit on the hub, or a local folder.
    """

    kind: Literal["package", "local", "sql", "hub", "http"]
    sha256: str = ""
    package: str = ""
    version: str = ""
    platform: str = ""
    path: str = ""
    query: str | None = None  # one SELECT, to the database in the file `path`
    repository: str = ""
    repository_type: Literal["dataset", "model"] = "dataset"
    revision: str = ""
    branch: str = ""
    files: tuple[str, ...] = ()  # "*" also crosses "/"
    shards: int | None = None  # of these files, chosen by a hash of their names; None: all
    url: str = ""
    mirrors: tuple[str, ...] = ()  # tried in this order when `url` fails


def plain_places(places: Iterable[Fetch]) -> list[dict[str, Any]]:
    """Places as plain JSON; a key that is None is left out, so that a new one changes nothing of stanzas without it."""
    return [{key: value for key, value in plain(place).items() if value is not None} for place in places]


def reading_key(places: Sequence[Fetch], *, adapter: str = "", options: Mapping[str, Any] | None = None) -> str:
    """Names what is read: a probe of other places, patterns or options says nothing of it."""
    return digest([plain_places(places), adapter, options or {}])


@dataclass(frozen=True, kw_only=True)
class Order:
    """The part of a stanza that decides the fetched files and their manifest."""

    name: str
    task: Literal["retrieval", "classification", "clustering", "sts"]
    licence: Licence
    fetch: tuple[Fetch, ...]


@dataclass(frozen=True, kw_only=True)
class FetchedModel:
    """The part of a model's stanza that decides the files of its folder."""

    name: str
    fetch: Fetch
    format: Literal["gguf", "folder", "vectors"]
    member: str
    layers: int | None
    pooling: Literal["last", "mean", "cls"]
    append_eos: bool
    control_tokens: Literal["letters", "tokens"]
    licence: Licence
    geometry: Geometry | None
