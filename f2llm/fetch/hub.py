"""Files of a hub's repositories at one commit, checked against the hub's own listing.

The hub's client lists; the files are downloaded as from any URL (resumed, tried again) and then
verified by size and sha256, or git blob id. (The client's own download keeps a flipped byte, gives
up on a busy server, and begins anew in another process.) No loading script is run: only the files
that the stanza names are read. The hub's own conversion to Parquet stops at 5 GB of a split, which it then calls
partial. The token comes from HF_TOKEN alone and is never written anywhere.
HF_ENDPOINT names another hub, HF_HUB_OFFLINE forbids the network.
"""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.fetch import Fetch
from f2llm.fetch import pins, web
from f2llm.fetch.cache import CACHE, Stored, host_slot
from f2llm.fetch.refusals import DISABLED, Answer, gated, refusal
from f2llm.fetch.retry import OFFLINE, PASSING_STATUS, Passing, Refused, is_offline, retried, retry_after
from f2llm.jobs.progress import progress
from f2llm.records.errors import InputError
from f2llm.records.files import check_member_name, read_json, write_json
from f2llm.records.locks import locked

ENDPOINT = "https://huggingface.co"
MAIN = "main"
LISTING = "listing.json"
BLOCK_BYTES = 1 << 20
MOST_NAMES = 12  # of a repository, in an error
_PARTIAL = re.compile(r"(?:^|/)(partial-[^/]+)/")
logger = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One file of the listing; large files have a sha256, the others a git blob id alone."""

    path: str
    bytes: int
    blob: str
    sha256: str


class Repository(NamedTuple):
    """What the hub says of a repository at a commit, without its files."""

    name: str  # "owner/name" of today; another than that of the stanza where it has moved
    commit: str
    gated: bool
    disabled: bool
    licence: str  # of its card; "" where that states none


def pin_key(fetch: Fetch) -> str:
    """How the lock file names a repository: "datasets/owner/name@branch-or-commit"."""
    return f"{fetch.repository_type}s/{fetch.repository}@{fetch.revision or fetch.branch or MAIN}"


def hub_files(fetch: Fetch, *, owner: str) -> tuple[str, list[Stored]]:
    """The commit and the files of a repository that the stanza names, verified, in the order of their paths.

    Raises:
        InputError: no such repository, commit or file, no access, bytes that are not those of the
            listing or the lock file; offline: one fault for each file that is not in the store.
    """
    store = _store_of(fetch)
    with locked(store / ".lock"):
        commit = fetch.revision or pins.revision(pin_key(fetch))
        if not (commit and (store / commit / LISTING).is_file()):
            commit = _commit_now(fetch, store, commit=commit, owner=owner)
        entries = _listing(fetch, store / commit, commit=commit, owner=owner)
        entries = _matching(entries, fetch, owner=owner)
        stored = []
        for entry in progress(entries, f"fetch {fetch.repository}", total=len(entries), unit="files"):
            sha256 = _fetch_verified(fetch, entry, store / commit, commit=commit, owner=owner)
            stored.append(Stored(store / commit / "files" / entry.path, entry.path, sha256))
        hashes = {file.name: file.sha256 for file in stored}
        pins.record_repository(pin_key(fetch), revision=commit, files=hashes, owner=owner)
        return commit, stored


def repository(fetch: Fetch, *, revision: str, owner: str) -> Repository:
    """What the hub says of a repository at a commit or branch.

    Raises:
        InputError: there is none, or no such commit or branch, or no access.
    """
    where = f"{owner}: {fetch.repository}"
    said = _ask_hub(
        # Not all that it could say: a repository of thousands of files would list them.
        lambda api: api.repo_info(
            fetch.repository, repo_type=fetch.repository_type, revision=revision,
            expand=["sha", "gated", "disabled", "cardData"],
        ),
        fetch,
        owner=owner,
        what=where if revision in (fetch.branch, MAIN) else f"{where}@{revision}",
    )  # fmt: skip
    card = said.card_data.to_dict() if said.card_data else {}
    licences = card.get("license") or []
    listed = [licences] if isinstance(licences, str) else licences
    return Repository(said.id, said.sha, bool(said.gated), bool(said.disabled), ", ".join(map(str, listed)))


def wanted_revision(fetch: Fetch) -> str:
    """The commit of a place: pinned or locked; else the branch whose commit of today counts."""
    return fetch.revision or pins.revision(pin_key(fetch)) or fetch.branch or MAIN


def denied(about: Repository, fetch: Fetch, *, owner: str) -> list[str]:
    """Why the files of a repository cannot be had by this user, although it is there."""
    where = f"{owner}: {fetch.repository}"
    faults = [f"{where}: {DISABLED}"] if about.disabled else []
    if about.gated and not token():  # only its files would say so
        faults.append(f"{where}: {gated(has_token=False)}")
    return faults


def renamed(about: Repository, fetch: Fetch) -> str:
    """What to do where a repository has another name today; "" where it has not."""
    if about.name == fetch.repository:
        return ""
    return (
        f"the repository is called {about.name} now; name it so in the stanza: its old name may be given to another one"
    )


def listed_files(fetch: Fetch, *, commit: str, owner: str) -> list[Entry]:
    """The files of a repository at a commit that the stanza names, as the hub lists them.

    Raises:
        InputError: a pattern of the stanza matches none.
    """
    store = _store_of(fetch)
    with locked(store / ".lock"):
        return _matching(_listing(fetch, store / commit, commit=commit, owner=owner), fetch, owner=owner)


def is_stored(fetch: Fetch, entry: Entry, *, commit: str) -> bool:
    """Whether a file lies in the store already, in its size."""
    path = _store_of(fetch) / commit / "files" / entry.path
    return path.is_file() and path.stat().st_size == entry.bytes


def url_of(fetch: Fetch, path: str, *, commit: str) -> str:
    """The address of a file at a commit."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(fetch.repository, path, repo_type=fetch.repository_type, revision=commit, endpoint=endpoint())


def missing_offline(fetch: Fetch, *, owner: str) -> list[str]:
    """One line for each file that cannot be had without the network."""
    commit = fetch.revision or pins.revision(pin_key(fetch))
    folder = _store_of(fetch) / (commit or "unknown")
    where = f"{owner}: {pin_key(fetch)}"
    if not (folder / LISTING).is_file():
        return [f"{where}: {pattern} {OFFLINE}" for pattern in fetch.files]
    entries = _matching(_read_listing(folder), fetch, owner=owner)
    return [f"{where}: {entry.path} {OFFLINE}" for entry in entries if not (folder / "files" / entry.path).is_file()]


def _store_of(fetch: Fetch) -> Path:
    return CACHE / "hub" / f"{fetch.repository_type}s--{fetch.repository.replace('/', '--')}"


def partial_splits(names: Iterable[str]) -> list[str]:
    """The splits among the paths of a repository that the hub converted in part, as "partial-train", sorted."""
    return sorted({found[1] for name in names if (found := _PARTIAL.search(name))})


def _commit_now(fetch: Fetch, store: Path, *, commit: str, owner: str) -> str:
    """`commit`, or the one that the branch points to now, once the hub says that the repository can be read.

    Raises:
        InputError: no such repository, branch or commit, no access, or the repository is gated or disabled.
    """
    wanted, where = commit or fetch.branch or MAIN, f"{owner}: {fetch.repository}"
    info = repository(fetch, revision=wanted, owner=owner)
    if faults := denied(info, fetch, owner=owner):
        raise InputError(faults)
    if new_name := renamed(info, fetch):
        logger.warning("%s: %s", where, new_name)
    if commit:
        return commit
    logger.info("%s: %s is %s now, which is locked", where, wanted, info.commit)
    # A probe lists without locking, and so does a fetch that fails.
    listed = max(store.glob(f"*/{LISTING}"), key=lambda path: path.stat().st_mtime, default=None)
    if listed and not (store / info.commit).is_dir():
        logger.warning(
            "%s: %s has changed since it was last listed: it was %s, it is %s now; look whether the stanza still fits",
            where,
            wanted,
            listed.parent.name,
            info.commit,
        )
    return info.commit


def _listing(fetch: Fetch, folder: Path, *, commit: str, owner: str) -> list[Entry]:
    """All files of the commit, as the hub lists them; asked once."""
    if not (folder / LISTING).is_file():
        entries = _ask_hub(
            lambda api: [
                Entry(file.path, file.size, file.blob_id, file.lfs.sha256 if file.lfs else "")
                for file in api.list_repo_tree(
                    fetch.repository, recursive=True, revision=commit, repo_type=fetch.repository_type
                )
                if hasattr(file, "blob_id")
            ],
            fetch,
            owner=owner,
            what=f"{owner}: {fetch.repository}@{commit}",
        )
        write_json(folder / LISTING, sorted(entries))
    return _read_listing(folder)


def _read_listing(folder: Path) -> list[Entry]:
    return [Entry(*values) for values in read_json(folder / LISTING)]


def _matching(entries: Sequence[Entry], fetch: Fetch, *, owner: str) -> list[Entry]:
    """The entries that the stanza's patterns match; with `shards` that many of them, chosen by their names alone.

    Raises:
        InputError: a pattern matches none, or all of them match fewer than `shards`.
    """
    names = [entry.path for entry in entries]
    listed = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    faults = [
        f"{owner}: {fetch.repository}: no file is named like {pattern!r} of {len(names)} ({listed}); correct `files`"
        for pattern in fetch.files
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    if faults:
        raise InputError(faults)
    matching = [entry for entry in entries if any(fnmatchcase(entry.path, pattern) for pattern in fetch.files)]
    for entry in matching:
        check_member_name(entry.path, where=f"{owner}: {fetch.repository}")
    return matching if fetch.shards is None else _chosen(matching, fetch, fetch.shards, owner=owner)


def _chosen(entries: Sequence[Entry], fetch: Fetch, shards: int, *, owner: str) -> list[Entry]:
    """The `shards` entries with the smallest hash of repository and path, in the order of their paths."""
    if len(entries) < shards:
        raise InputError(
            f"{owner}: {fetch.repository}: `shards` asks for {shards} files, the patterns match {len(entries)}; ask "
            "for fewer, or correct `files`"
        )

    def rank(entry: Entry) -> bytes:
        return hashlib.sha256(f"{fetch.repository}\0{entry.path}".encode()).digest()

    chosen = sorted(sorted(entries, key=rank)[:shards])
    logger.info(
        "%s: %s: %d of %d files are chosen: %s",
        owner, fetch.repository, shards, len(entries), ", ".join(entry.path for entry in chosen),
    )  # fmt: skip
    return chosen


def _fetch_verified(fetch: Fetch, entry: Entry, folder: Path, *, commit: str, owner: str) -> str:
    """Put the file into the store, unless it lies there undamaged; return its sha256."""
    path = folder / "files" / entry.path
    if path.is_file():
        fault, sha256 = _difference(path, entry)
        if not fault:
            return sha256
        logger.warning("%s: %s in the store is damaged (%s); it is fetched again", owner, entry.path, fault)
        path.unlink()
    if is_offline():
        raise InputError(f"{owner}: {fetch.repository}: {entry.path} {OFFLINE}")
    partial = web.PartialFile(folder / "parts" / f"{entry.blob}-{path.name}")
    what = f"{owner}: {fetch.repository}@{commit}: {entry.path}"
    with host_slot(endpoint()):
        sha256 = retried(lambda: _download(fetch, entry, partial, commit=commit, owner=owner, what=what), what=what)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(partial.path, path)
    partial.clear()
    return sha256


def _download(fetch: Fetch, entry: Entry, partial: web.PartialFile, *, commit: str, owner: str, what: str) -> str:
    """Download what is missing of the file, in one go, and return its sha256."""
    try:
        web.download(url_of(fetch, entry.path, commit=commit), partial, resume=True, token=token())
    except Refused as error:
        raise refused(error.status, error.headers, fetch, owner=owner, what=what) from error
    fault, sha256 = _difference(partial.path, entry)
    if fault:
        partial.clear()
        raise Passing(f"the file is not that of the hub's listing: {fault}")
    return sha256


def _difference(path: Path, entry: Entry) -> tuple[str, str]:
    """How a file differs from the listing ("" if it does not), and its sha256."""
    size = path.stat().st_size
    # git's id of a file is the SHA-1 of this header and the bytes.
    blob, sha256 = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            sha256.update(block)
            if not entry.sha256:
                blob.update(block)
    if size != entry.bytes:
        actual, listed = size, entry.bytes
    elif entry.sha256:
        actual, listed = sha256.hexdigest(), entry.sha256
    else:
        actual, listed = f"blob {blob.hexdigest()}", f"blob {entry.blob}"
    return (f"{actual} instead of {listed}" if actual != listed else ""), sha256.hexdigest()


def endpoint() -> str:
    """URL of the hub: HF_ENDPOINT, or that of Hugging Face."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT


def token() -> str:
    """The user's token from HF_TOKEN; "" without one."""
    return os.environ.get("HF_TOKEN", "").strip()


def _ask_hub(question: Callable[[Any], Any], fetch: Fetch, *, owner: str, what: str) -> Any:  # noqa: ANN401 - what the client's API answers
    """The hub API's answer to `question`; failures that may pass are tried again."""
    from huggingface_hub import HfApi

    # False keeps the client from looking for a token elsewhere.
    api = HfApi(endpoint=endpoint(), token=token() or False)

    def ask() -> Any:  # noqa: ANN401
        try:
            return question(api)
        except Exception as error:
            raise _failure_of(error, fetch, owner=owner, what=what) from error

    if is_offline():
        raise InputError(f"{what}: the hub must be asked, and HF_HUB_OFFLINE forbids it; unset it")
    with host_slot(endpoint()):
        return retried(ask, what=what)


def _failure_of(error: Exception, fetch: Fetch, *, owner: str, what: str) -> Exception:
    """A `Passing` where another try may help, an InputError where it will not."""
    response = getattr(error, "response", None)
    if response is None:
        return Passing(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    if response.status_code in PASSING_STATUS:
        return Passing(f"HTTP {response.status_code}", wait=retry_after(response.headers.get("Retry-After")))
    return refused(response.status_code, response.headers, fetch, owner=owner, what=what)


def refused(status: int, headers: Mapping[str, str], fetch: Fetch, *, owner: str, what: str) -> InputError:
    """What it means that the hub refuses a question or a file of a place."""
    answer = Answer(status, headers.get("X-Error-Code", ""), headers.get("X-Error-Message", ""))
    locked = "" if fetch.revision else pins.revision(pin_key(fetch))
    return refusal(answer, fetch, owner=owner, what=what, locked=locked, has_token=bool(token()))
