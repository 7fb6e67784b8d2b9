"""Files of a hub's repositories at one commit, checked against the hub's own listing.

The hub's client lists; the files are downloaded as from any URL (resumed, tried again) and then
verified by size and sha256, or git blob id. (The client's own download keeps a flipped byte, gives
up on a busy server, and begins anew in another process.) No loading script is run: only the files
that the stanza names are read. The token comes from HF_TOKEN alone and is never written anywhere.
HF_ENDPOINT names another hub, HF_HUB_OFFLINE forbids the network.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.fetch import Fetch
from f2llm.errors import InputError
from f2llm.jobs.progress import progress
from f2llm.records.files import check_member_name, read_json, write_json
from f2llm.records.locks import locked
from f2llm.sources import web
from f2llm.sources.cache import Stored, host_slot
from f2llm.sources.pins import Pins
from f2llm.sources.retry import OFFLINE, PASSING_STATUS, Passing, Refused, is_offline, retried, retry_after

ENDPOINT = "https://huggingface.co"
MAIN = "main"
LISTING = "listing.json"
BLOCK_BYTES = 1 << 20
MOST_NAMES = 12  # of a repository, in an error
_NO_ACCESS = (401, 403)
logger = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One file of the listing; large files have a sha256, the others a git blob id alone."""

    path: str
    bytes: int
    blob: str
    sha256: str


def pin_key(fetch: Fetch) -> str:
    """How the lock file names a repository: "datasets/owner/name@branch-or-commit"."""
    return f"{fetch.repository_type}s/{fetch.repository}@{fetch.revision or fetch.branch or MAIN}"


def hub_files(fetch: Fetch, *, owner: str, cache: Path, pins: Pins) -> tuple[str, list[Stored]]:
    """The commit and the files of a repository that the stanza names, verified, in the order of their paths.

    Raises:
        InputError: no such repository, commit or file, no access, bytes that are not those of the
            listing or the lock file; offline: one fault for each file that is not in the store.
    """
    store = cache / "hub" / f"{fetch.repository_type}s--{fetch.repository.replace('/', '--')}"
    with locked(store / ".lock"):
        commit = fetch.revision or pins.revision(pin_key(fetch)) or _resolve(fetch, owner=owner, cache=cache)
        entries = _listing(fetch, store / commit, commit=commit, owner=owner, cache=cache)
        wanted = _wanted(entries, fetch, owner=owner)
        what = f"fetch {fetch.repository}"
        stored = [
            Stored(store / commit / "files" / entry.path, entry.path, sha256)
            for entry in progress(wanted, what, total=len(wanted), unit="files")
            for sha256 in [_verified(fetch, entry, store / commit, commit=commit, owner=owner, cache=cache)]
        ]
        found = {file.name: file.sha256 for file in stored}
        pins.record_repository(pin_key(fetch), revision=commit, files=found, owner=owner)
        return commit, stored


def missing_offline(fetch: Fetch, *, cache: Path, pins: Pins, owner: str) -> list[str]:
    """One line for each file that cannot be had without the network."""
    commit = fetch.revision or pins.revision(pin_key(fetch))
    folder = cache / "hub" / f"{fetch.repository_type}s--{fetch.repository.replace('/', '--')}" / (commit or "unknown")
    where = f"{owner}: {pin_key(fetch)}"
    if not (folder / LISTING).is_file():
        return [f"{where}: {pattern} {OFFLINE}" for pattern in fetch.files]
    entries = [Entry(*values) for values in read_json(folder / LISTING)]
    wanted = _wanted(entries, fetch, owner=owner)
    return [f"{where}: {entry.path} {OFFLINE}" for entry in wanted if not (folder / "files" / entry.path).is_file()]


def _resolve(fetch: Fetch, *, owner: str, cache: Path) -> str:
    """The commit that the branch points to now."""
    branch = fetch.branch or MAIN
    commit = _asked(
        lambda api: api.repo_info(fetch.repository, repo_type=fetch.repository_type, revision=branch).sha,
        what=f"{owner}: {fetch.repository}",
        cache=cache,
    )
    logger.info("%s: %s: %s is %s now, which is locked", owner, fetch.repository, branch, commit)
    return commit


def _listing(fetch: Fetch, folder: Path, *, commit: str, owner: str, cache: Path) -> list[Entry]:
    """All files of the commit, as the hub lists them; asked once."""
    if not (folder / LISTING).is_file():
        found = _asked(
            lambda api: [
                Entry(file.path, file.size, file.blob_id, file.lfs.sha256 if file.lfs else "")
                for file in api.list_repo_tree(
                    fetch.repository, recursive=True, revision=commit, repo_type=fetch.repository_type
                )
                if hasattr(file, "blob_id")
            ],
            what=f"{owner}: {fetch.repository}@{commit}",
            cache=cache,
        )
        write_json(folder / LISTING, sorted(found))
    return [Entry(*values) for values in read_json(folder / LISTING)]


def _wanted(entries: Sequence[Entry], fetch: Fetch, *, owner: str) -> list[Entry]:
    """The files that the patterns name; refuse patterns that name none."""
    names = [entry.path for entry in entries]
    listed = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    faults = [
        f"{owner}: {fetch.repository}: no file is named like {pattern!r} of {len(names)} ({listed}); correct `files`"
        for pattern in fetch.files
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    if faults:
        raise InputError(faults)
    wanted = [entry for entry in entries if any(fnmatchcase(entry.path, pattern) for pattern in fetch.files)]
    for entry in wanted:
        check_member_name(entry.path, where=f"{owner}: {fetch.repository}")
    return wanted


def _verified(fetch: Fetch, entry: Entry, folder: Path, *, commit: str, owner: str, cache: Path) -> str:
    """Have the file in the store and return its sha256."""
    path = folder / "files" / entry.path
    if path.is_file():
        fault, sha256 = _compare(path, entry)
        if not fault:
            return sha256
        logger.warning("%s: %s in the store is damaged (%s); it is fetched again", owner, entry.path, fault)
        path.unlink()
    if is_offline():
        raise InputError(f"{owner}: {fetch.repository}: {entry.path} {OFFLINE}")
    part = web.PartialFile(folder / "parts" / f"{entry.blob}-{path.name}")
    what = f"{owner}: {fetch.repository}@{commit}: {entry.path}"
    with host_slot(_endpoint(), cache=cache):
        sha256 = retried(lambda: _download(fetch, entry, part, commit=commit, what=what), what=what)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(part.path, path)
    part.clear()
    return sha256


def _download(fetch: Fetch, entry: Entry, part: web.PartialFile, *, commit: str, what: str) -> str:
    """Complete the part once and return its sha256."""
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(
        fetch.repository, entry.path, repo_type=fetch.repository_type, revision=commit, endpoint=_endpoint()
    )
    try:
        web.download(url, part, resume=True, token=_token())
    except Refused as error:
        raise _refusal(error.status, what=what) from error
    fault, sha256 = _compare(part.path, entry)
    if fault:
        part.clear()
        raise Passing(f"the file is not that of the hub's listing: {fault}")
    return sha256


def _compare(path: Path, entry: Entry) -> tuple[str, str]:
    """How a file differs from the listing ("" if it does not), and its sha256."""
    blob, sha256 = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False), hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            sha256.update(block)
            if not entry.sha256:
                blob.update(block)
    found, wanted = path.stat().st_size, entry.bytes
    if found == wanted:
        found, wanted = (
            (sha256.hexdigest(), entry.sha256) if entry.sha256 else (f"blob {blob.hexdigest()}", f"blob {entry.blob}")
        )
    return (f"{found} instead of {wanted}" if found != wanted else ""), sha256.hexdigest()


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT


def _token() -> str:
    return os.environ.get("HF_TOKEN", "").strip()


def _asked(question: Callable[[Any], Any], *, what: str, cache: Path) -> Any:  # noqa: ANN401 - what the client's API answers
    """The answer of the hub's API to `question`, tried again where it may help."""
    from huggingface_hub import HfApi

    # False keeps the client from looking for a token elsewhere.
    api = HfApi(endpoint=_endpoint(), token=_token() or False)

    def ask() -> Any:  # noqa: ANN401
        try:
            return question(api)
        except Exception as error:
            raise _verdict(error, what=what) from error

    if is_offline():
        raise InputError(f"{what}: the hub must be asked, and HF_HUB_OFFLINE forbids it; unset it")
    with host_slot(_endpoint(), cache=cache):
        return retried(ask, what=what)


def _verdict(error: Exception, *, what: str) -> Exception:
    """`Passing` for what may pass, an InputError for what will not."""
    response = getattr(error, "response", None)
    if response is None:
        return Passing(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    if response.status_code in PASSING_STATUS:
        return Passing(f"HTTP {response.status_code}", wait=retry_after(response.headers.get("Retry-After")))
    return _refusal(response.status_code, what=what)


def _refusal(status: int, *, what: str) -> InputError:
    if status in _NO_ACCESS:
        return InputError(
            f"{what}: HTTP {status}: the hub gives no access; if the repository is gated, accept its terms on its "
            "page, and set HF_TOKEN to a token that may read it"
        )
    return InputError(f"{what}: HTTP {status}: the hub does not have it; correct repository, revision or files")
