"""The lock file config/sources.lock.yaml: what stanzas leave open, as the first fetch found it.

It holds commits of repositories, sha256s of their files, and sha256s of URLs. From then on other
bytes are an error that names both hashes. `f2llm lock --refresh NAME` brings a source up to date on
purpose. The file is meant to be kept with the config.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from f2llm.fetch.cache import CACHE
from f2llm.records.errors import InputError
from f2llm.records.files import atomic_path
from f2llm.records.locks import locked
from f2llm.records.yaml_files import read_yaml

PINS = Path("config/sources.lock.yaml")
GUARD = CACHE / ".pins.lock"
HEADER = "# Written by the first fetch. To bring a source or model up to date: f2llm lock --refresh NAME\n"


def revision(repository: str) -> str:
    """The commit of `repository` ("datasets/owner/name@branch"); "" if it is not locked."""
    return entry("hub", repository).get("revision", "")


def sha256_of_url(url: str) -> str:
    """The sha256 of the file of `url`; "" if it is not locked."""
    return entry("http", url).get("sha256", "")


def record_repository(repository: str, *, revision: str, files: Mapping[str, str], owner: str) -> None:
    """Lock the commit and the sha256s of `files` (path -> sha256); others of the repository stay.

    Raises:
        InputError: one of them is locked otherwise.
    """
    with locked(GUARD):
        before = entry("hub", repository)
        known = before.get("files", {})
        faults = [
            _changed(f"{owner}: {repository}: {path}", sha256, known[path])
            for path, sha256 in files.items()
            if known.get(path, sha256) != sha256
        ]
        if before.get("revision", revision) != revision:
            faults.append(_changed(f"{owner}: {repository}: commit", revision, before["revision"], what=""))
        if faults:
            raise InputError(faults)
        _write("hub", repository, {"revision": revision, "files": dict(sorted({**known, **files}.items()))})


def record_url(url: str, *, sha256: str, bytes: int, owner: str) -> None:  # noqa: A002
    """Lock the file of a URL.

    Raises:
        InputError: it is locked with another sha256.
    """
    with locked(GUARD):
        before = entry("http", url).get("sha256", sha256)
        if before != sha256:
            raise InputError(_changed(f"{owner}: {url}", sha256, before))
        _write("http", url, {"sha256": sha256, "bytes": bytes})


def replace(kind: str, key: str, new: Mapping[str, Any]) -> None:
    """Put `new` in the place of what is locked; an empty one forgets it."""
    with locked(GUARD):
        if new != entry(kind, key):
            _write(kind, key, new)


def _changed(where: str, actual: str, known: str, *, what: str = "sha256 ") -> str:
    return (
        f"{where}: {what}is {actual}, {PINS} says {known}; it has changed: look at it, then take the "
        "new one on purpose with `f2llm lock --refresh NAME`"
    )


def _content() -> dict[str, Any]:
    return (read_yaml(PINS) if PINS.is_file() else None) or {}


def entry(kind: str, key: str) -> dict[str, Any]:
    """Locked facts of a place (kind hub | http); empty if there are none."""
    return _content().get(kind, {}).get(key, {})


def _write(kind: str, key: str, new: Mapping[str, Any]) -> None:
    """Write one entry, the guard being held; nothing is touched if it is there already."""
    content = _content()
    if content.get(kind, {}).get(key) == new:
        return
    content.setdefault(kind, {})[key] = dict(new)
    content = {kind: {key: facts for key, facts in places.items() if facts} for kind, places in content.items()}
    with atomic_path(PINS) as aside:
        aside.write_text(HEADER + yaml.safe_dump(content, sort_keys=True, width=120), encoding="utf-8")
