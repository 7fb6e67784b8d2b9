"""sha256 of files, kept: a table that ten jobs read is hashed once, and planning hashes no file that it knows.

A kept hash holds while size, both times and inode are what they were when the file was hashed. The time of change
(ctime) cannot be set back, so an edit that restores the time of modification is seen. What is no longer seen is a disk
that loses bits without a write: `f2llm verify` hashes everything anew.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from f2llm.records.files import MANIFEST, read_json, sha256_file, sha256_path

KEPT = Path(".cache", "hashes")  # below the working directory; may be deleted at any time
LEAST_BYTES = 1 << 16  # smaller files are hashed as fast as a kept hash is read
# A second write within one tick of the file system's clock leaves no trace: such hashes are not kept.
TICK_SECONDS, COARSE_TICK_SECONDS = 0.02, 2.0


def kept_sha256(path: str | Path) -> str:
    """`sha256_path` of a file or folder, from the kept hashes of its files where they still hold."""
    return sha256_path(path, hash_file=_kept_sha256_file)


def content_digest(paths: Iterable[str | Path]) -> str:
    """One sha256 over names and contents of files, in their order; a file that is not there counts as its name."""
    listing = [f"{path}\0{kept_sha256(path) if os.path.exists(path) else ''}\n" for path in paths]
    return hashlib.sha256("".join(listing).encode()).hexdigest()


def changed_files(folder: str | Path) -> str:
    """The fetched files in the folder `raw` of a source that are not as its manifest has them, to end a sentence with.

    Empty for any other file or folder, and where the manifest cannot be read.
    """
    folder = Path(folder)
    manifest = folder.parent / MANIFEST
    if folder.name != "raw" or not manifest.is_file():
        return ""
    try:
        recorded = {file["name"]: file["sha256"] for file in read_json(manifest)["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    wrong = [name for name in recorded if not (folder / name).is_file() or sha256_file(folder / name) != recorded[name]]
    return f": {', '.join(wrong)}" if wrong else ": a file was added"


def _kept_sha256_file(path: str | Path) -> str:
    state = _state_of(path)
    if state[0] < LEAST_BYTES:
        return sha256_file(path)
    entry = KEPT / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError):  # none yet, or torn
        *known, sha256 = json.loads(entry.read_text())
        if known == state and isinstance(sha256, str):
            return sha256
    sha256 = sha256_file(path)
    if _state_of(path) == state and not _may_change_unseen(state[2]):
        _keep(entry, json.dumps([*state, sha256]))
    return sha256


def _state_of(path: str | Path) -> list[int]:
    """Size, time of modification, time of change and inode of a file."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _may_change_unseen(changed_ns: int) -> bool:
    """Whether the file was changed so short a time ago that another change could have the same time."""
    tick = COARSE_TICK_SECONDS if changed_ns % 10**9 == 0 else TICK_SECONDS
    return time.time() - changed_ns / 1e9 < tick


def _keep(entry: Path, content: str) -> None:
    """Write an entry whole or not at all; a folder without room or right for it is no fault."""
    aside = entry.with_suffix(f".{os.uname().nodename}-{os.getpid()}.part")
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(content)
            os.replace(aside, entry)
        finally:
            aside.unlink(missing_ok=True)
