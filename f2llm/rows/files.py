"""Which files of a folder are data: hidden ones are not, links are followed where that is safe."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from f2llm.records.files import TIMESTAMP

LISTED = 3


class Listing(NamedTuple):
    """The files below a path, sorted; what was passed over because it is hidden; a line for each bad link."""

    files: list[Path]
    hidden: list[Path]
    faults: list[str]

    @property
    def remark(self) -> str:
        """One line that names what was passed over; empty where nothing was."""
        if not self.hidden:
            return ""
        more = f" and {len(self.hidden) - LISTED} more" if len(self.hidden) > LISTED else ""
        return f"hidden, so passed over: {', '.join(map(str, self.hidden[:LISTED]))}{more}"


def is_hidden(name: str) -> bool:
    """Whether a part of a path begins with a dot: what editors and systems keep for themselves."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def list_files(path: str | Path, *, within: Sequence[str | Path] = (".",)) -> Listing:
    """The files of a folder, or the one file that `path` is.

    Linked files and folders belong to it if they lie below one of the folders `within` and lead to no circle.
    """
    top, listing = Path(path), Listing([], [], [])
    allowed = [Path(folder).resolve() for folder in within]
    if top.is_dir():
        _walk(top, [top.resolve()], allowed, listing)
    elif top.is_file():
        listing.files.append(top)
    listing.files.sort()
    return listing


def stays_below(path: str | Path) -> bool:
    """Whether a path lies below the working directory, as it is written and after its links."""
    path = Path(path)
    as_written = bool(path.name) and not path.is_absolute() and ".." not in path.parts
    return as_written and path.resolve().is_relative_to(Path.cwd().resolve())


def local_files(path: str | Path) -> list[Path]:
    """The file `path`, or the files of the folder `path`, sorted; empty if missing or outside the working directory."""
    return list_files(path).files if stays_below(path) else []


def _walk(folder: Path, above: list[Path], allowed: list[Path], listing: Listing) -> None:
    """Add what lies in `folder`; `above` are the real paths of it and of the folders that it was reached through."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            if path.name != TIMESTAMP:
                listing.hidden.append(path)
        elif fault := _fault(path, above, allowed):
            shown = os.fsencode(path).decode("utf-8", "replace")
            listing.faults.append(f"{shown}: {fault}")
        elif path.is_dir():
            _walk(path, [*above, path.resolve()], allowed, listing)
        elif path.is_file():
            listing.files.append(path)


def _fault(path: Path, above: list[Path], allowed: list[Path]) -> str:
    """Why an entry of a folder cannot be read; empty for those that can."""
    try:
        os.fsencode(path.name).decode("utf-8")
    except UnicodeDecodeError:
        return "its name is not valid UTF-8; rename it"
    if not path.is_symlink():
        return ""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "is a link that leads nowhere; correct or delete it"
    if any(folder.is_relative_to(real) for folder in above):
        return f"is a link back to {real}, in which it lies; delete it"
    if not any(real.is_relative_to(folder) for folder in allowed):
        return f"is a link to {real}, which lies outside {allowed[0]}; copy or mount that below it"
    return ""
