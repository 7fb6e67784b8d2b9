"""The lock file config/sources.lock.yaml: what stanzas leave open, as the first fetch found it.

It holds commits of repositories, sha256s of their files, and sha256s of URLs. From then on other
bytes are an error that names both hashes. `f2llm lock --refresh NAME` brings a source up to date on
purpose. The file is meant to be kept with the config.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from f2llm.config.check import read_yaml
from f2llm.errors import InputError
from f2llm.records.files import atomic_path
from f2llm.records.locks import locked
from f2llm.sources.cache import CACHE

PINS = Path("config/sources.lock.yaml")
HEADER = "# Written by the first fetch. To bring a source or model up to date: f2llm lock --refresh NAME\n"


class Pins:
    """The lock file at `path`; read anew each time, as other jobs add to it."""

    def __init__(self, path: Path = PINS, *, cache: Path = CACHE) -> None:
        self.path, self._guard = path, cache / ".pins.lock"

    def revision(self, repository: str) -> str:
        """The commit of `repository` ("datasets/owner/name@branch"); "" if it is not locked."""
        return self.entry("hub", repository).get("revision", "")

    def sha256_of_url(self, url: str) -> str:
        """The sha256 of the file of `url`; "" if it is not locked."""
        return self.entry("http", url).get("sha256", "")

    def record_repository(self, repository: str, *, revision: str, files: Mapping[str, str], owner: str) -> None:
        """Lock the commit and the sha256s of `files` (path -> sha256); others of the repository stay.

        Raises:
            InputError: one of them is locked otherwise.
        """
        with locked(self._guard):
            before = self.entry("hub", repository)
            known = before.get("files", {})
            faults = [
                self._changed(f"{owner}: {repository}: {path}", sha256, known[path])
                for path, sha256 in files.items()
                if known.get(path, sha256) != sha256
            ]
            if before.get("revision", revision) != revision:
                faults.append(self._changed(f"{owner}: {repository}: commit", revision, before["revision"], what=""))
            if faults:
                raise InputError(faults)
            entry = {"revision": revision, "files": dict(sorted({**known, **files}.items()))}
            self._write("hub", repository, entry)

    def record_url(self, url: str, *, sha256: str, bytes: int, owner: str) -> None:  # noqa: A002
        """Lock the file of a URL.

        Raises:
            InputError: it is locked with another sha256.
        """
        with locked(self._guard):
            before = self.entry("http", url).get("sha256", sha256)
            if before != sha256:
                raise InputError(self._changed(f"{owner}: {url}", sha256, before))
            self._write("http", url, {"sha256": sha256, "bytes": bytes})

    def replace(self, kind: str, key: str, *, entry: Mapping[str, Any]) -> None:
        """Put `entry` in the place of what is locked; an empty one forgets it."""
        with locked(self._guard):
            if entry != self.entry(kind, key):
                self._write(kind, key, entry)

    def _changed(self, where: str, actual: str, known: str, *, what: str = "sha256 ") -> str:
        return (
            f"{where}: {what}is {actual}, {self.path} says {known}; it has changed: look at it, then take the "
            "new one on purpose with `f2llm lock --refresh NAME`"
        )

    def _content(self) -> dict[str, Any]:
        return (read_yaml(self.path) if self.path.is_file() else None) or {}

    def entry(self, kind: str, key: str) -> dict[str, Any]:
        """Locked facts of a place (kind hub | http); empty if there are none."""
        return self._content().get(kind, {}).get(key, {})

    def _write(self, kind: str, key: str, entry: Mapping[str, Any]) -> None:
        """Write one entry, the guard being held; nothing is touched if it is there already."""
        content = self._content()
        if content.get(kind, {}).get(key) == entry:
            return
        content.setdefault(kind, {})[key] = dict(entry)
        content = {kind: {key: entry for key, entry in places.items() if entry} for kind, places in content.items()}
        with atomic_path(self.path) as aside:
            aside.write_text(HEADER + yaml.safe_dump(content, sort_keys=True, width=120), encoding="utf-8")
