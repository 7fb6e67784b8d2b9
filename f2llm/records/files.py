"""Files and folders that are either whole or absent: written aside, fsynced, renamed. Their hashes and sizes."""

import contextlib
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from f2llm.records.errors import InputError

TIMESTAMP = ".snakemake_timestamp"  # put by the workflow engine into folders that a job has made: no content
SEPARATOR = "!"  # between an archive and its member, as in "wheel!member"
FETCHED = Path(".cache", "fetched")  # below results: the store of fetched files, which those of sources are linked from
MANIFEST = "manifest.json"  # of a source or model: its licence and the files that were fetched


def sha256_file(path: str | Path) -> str:
    """sha256 of a file as 64 hex digits, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_path(path: str | Path, *, hash_file: Callable[[str | Path], str] = sha256_file) -> str:
    """sha256 of a file, or of a folder as the hash of its (name, sha256) listing; `hash_file` gives that of a file.

    The workflow engine's time stamp in a folder does not count.
    """
    path = Path(path)
    if path.is_file():
        return hash_file(path)
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name != TIMESTAMP]
    return sha256_files(path, files, hash_file=hash_file)


def sha256_files(
    folder: str | Path, files: Iterable[Path], *, hash_file: Callable[[str | Path], str] = sha256_file
) -> str:
    """sha256 of the (name, sha256) listing of some files of a folder, in order; `hash_file` as in `sha256_path`."""
    listing = [f"{file.relative_to(folder)}\0{hash_file(file)}\n" for file in files]
    return hashlib.sha256("".join(listing).encode()).hexdigest()


def bytes_of(path: str | Path) -> int:
    """Size of a file, or of all files in a folder but the workflow engine's time stamp, in bytes."""
    path = Path(path)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.name != TIMESTAMP]
    return sum(file.stat().st_size for file in files if file.is_file())


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success fsync and rename it, on failure delete it.

    The temporary name is unique to the process, so two processes that make the same file do
    not disturb each other: the last rename wins, with the same bytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.uname().nodename}-{os.getpid()}.part")
    try:
        yield aside
        _fsync(aside)
        os.replace(aside, path)
        _fsync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_open(path: str | Path) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes `path` when the block ends without an error."""
    with atomic_path(path) as aside, open(aside, "wb") as file:
        yield file


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that takes its place when the block ends without an error.

    An existing folder at `path` is replaced. Between the two renames a kill leaves no folder at
    `path`, never half a one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield aside
        for file in aside.rglob("*"):
            _fsync(file)
        aside.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(aside, path)
        _fsync(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def clear_asides(path: str | Path) -> None:
    """Delete what killed jobs left half-written of the file or folder `path`; only its one writer may call this."""
    clear_left_overs(Path(path).parent, pattern=f".{glob.escape(Path(path).name)}.*.part")


def clear_left_overs(folder: str | Path, *, pattern: str = ".*.part") -> None:
    """Delete what killed jobs left aside in `folder`; only the one job that writes there may call this."""
    for path in Path(folder).glob(pattern):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_json(path: str | Path, content: Any) -> None:  # noqa: ANN401 - JSON is the border
    """Write `content` as JSON (sorted keys, two spaces, one newline at the end), atomically."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with atomic_open(path) as file:
        file.write(text.encode() + b"\n")


def read_json(path: str | Path) -> Any:  # noqa: ANN401 - JSON is the border
    """Read a JSON file.

    Raises:
        ValueError: it is no JSON; names the file.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        advice = "restore it, or delete it if a job made it, and run again"
        raise ValueError(f"{path}: not JSON ({error}); {advice}") from error


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_member_name(name: str, *, where: str) -> None:
    """Refuse a member name that could lead out of a folder.

    Raises:
        InputError: absolute, with "..", a backslash, a drive letter or a NUL.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or any(mark in name for mark in "\\:\0"):
        raise InputError(f"{where}: member {name!r} could lead out of the archive; do not use this file")
