"""Download files from URLs: resume where a download stopped, try again, fall back to mirrors, check the sha256."""

import contextlib
import errno
import hashlib
import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from f2llm.config.fetch import Fetch
from f2llm.fetch import pins
from f2llm.fetch.cache import CACHE, Stored, host_slot
from f2llm.fetch.retry import OFFLINE, PASSING_STATUS, Passing, Refused, is_offline, retried, retry_after
from f2llm.jobs.progress import Progress
from f2llm.records.errors import InputError
from f2llm.records.files import check_member_name, sha256_file
from f2llm.records.locks import locked

TIMEOUT_SECONDS = 60
BLOCK_BYTES = 1 << 20
USER_AGENT = "f2llm-pipeline"
HTML = ("text/html", "application/xhtml+xml")
_RANGE_NOT_SATISFIABLE = 416


class PartialFile(NamedTuple):
    """An unfinished download; beside it lies the ETag of the version that it is of."""

    path: Path

    @property
    def tag(self) -> Path:
        """The file that holds the ETag."""
        return self.path.with_name(f"{self.path.name}.etag")

    def clear(self) -> None:
        """Delete it, so that the next download begins anew."""
        self.path.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


def web_file(fetch: Fetch, *, owner: str) -> Stored:
    """The file of a URL in the store, downloading it if it is not there.

    Without a sha256 in the stanza that of the first fetch holds, which `pins` keeps.

    Raises:
        InputError: no place has the file, or it has another hash than is pinned.
    """
    name = file_name(fetch.url, owner=owner)
    key = hashlib.sha256(fetch.url.encode()).hexdigest()[:32]
    with locked(CACHE / f".{key}.lock"):
        pinned = fetch.sha256 or pins.sha256_of_url(fetch.url)
        stored = CACHE / pinned / name
        if pinned and stored.is_file() and sha256_file(stored) == pinned:
            return Stored(stored, name, pinned)
        if is_offline():
            raise InputError(f"{owner}: {fetch.url} {OFFLINE}")
        partial = PartialFile(CACHE / f".{key}.download" / name)
        sha256 = _download_from_any(fetch, partial, pinned=pinned, owner=owner)
        target = CACHE / sha256 / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial.path, target)
        shutil.rmtree(partial.path.parent)
        if not fetch.sha256:
            pins.record_url(fetch.url, sha256=sha256, bytes=target.stat().st_size, owner=owner)
        return Stored(target, name, sha256)


def missing_offline(fetch: Fetch, *, owner: str) -> list[str]:
    """One line if the file of a URL cannot be had without the network."""
    pinned = fetch.sha256 or pins.sha256_of_url(fetch.url)
    stored = pinned and (CACHE / pinned / file_name(fetch.url, owner=fetch.url)).is_file()
    return [] if stored else [f"{owner}: {fetch.url} {OFFLINE}"]


def file_name(url: str, *, owner: str) -> str:
    """The last part of the path of a URL.

    Raises:
        InputError: it is not a file name.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    check_member_name(name, where=f"{owner}: {url}")
    return name


def download(url: str, partial: PartialFile, *, resume: bool, token: str = "") -> None:
    """Add to `partial` what is missing of the file, in one go.

    Without `resume` an unfinished file is continued only where the server says that it is the same version. `token`
    goes to the host of `url` and to no other that it redirects to.

    Raises:
        Passing: the server is busy or down, the connection broke, or a web page came instead.
        Refused: any other answer than the file.
    """
    partial.path.parent.mkdir(parents=True, exist_ok=True)
    stored_bytes = partial.path.stat().st_size if partial.path.is_file() else 0
    tag = partial.tag.read_text(encoding="utf-8") if partial.tag.is_file() else ""
    headers = {}
    if stored_bytes and (resume or tag):
        headers["Range"] = f"bytes={stored_bytes}-"
        if tag:  # the server then sends the rest of this version, or the whole of another one
            headers["If-Range"] = tag
    try:
        with _answer(url, token=token, headers=headers) as answer:
            _append_body(answer, partial, stored_bytes=stored_bytes)
    except Refused as error:
        if error.status != _RANGE_NOT_SATISFIABLE:
            raise
        partial.clear()  # more is here than the file has: begin anew
        raise Passing(str(error)) from error


class Part(NamedTuple):
    """Some bytes of a file, and how many the whole has; None where the server does not say."""

    content: bytes
    of_bytes: int | None


def read_range(url: str, *, first: int, count: int, token: str = "") -> Part:
    """The `count` bytes of a file from the byte `first` on, or as many as there are.

    Never more is read, whatever the server sends: one that knows no ranges sends the whole file, whose beginning is
    as good. `token` goes where that of `download` goes.

    Raises:
        NoRanges: the server sends other bytes than those that are asked for.
        Passing, Refused: as `download`.
    """
    with _answer(url, token=token, headers={"Range": f"bytes={first}-{first + count - 1}"}) as answer:
        if answer.headers.get_content_type() in HTML:
            raise Passing("a web page came instead of the file")
        whole = announced = answer.headers.get("Content-Length", "")
        start = 0
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
            place, _, whole = answer.headers.get("Content-Range", "").rpartition("/")
            start = int(digits[0]) if (digits := re.findall(r"\d+", place)) else first
        if start != first:
            raise NoRanges(url)
        content = b""
        while len(content) < count and (block := answer.read(count - len(content))):
            content += block
        if announced.isdigit() and len(content) < min(count, int(announced)):
            raise Passing(f"{len(content):,} of {int(announced):,} bytes came")
    return Part(content, int(whole) if whole.isdigit() else None)


class NoRanges(Exception):
    """A server sends files from their beginning only."""


@contextlib.contextmanager
def _answer(url: str, *, token: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
    """Yield the answer to a GET request; what it raises, and what reading it raises, as `Passing` or `Refused`."""
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT, **headers})
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with open_url(request, timeout=TIMEOUT_SECONDS) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        with error:
            if error.code not in PASSING_STATUS:
                raise Refused(error.code, error.headers) from error
            raise Passing(f"HTTP {error.code}", wait=retry_after(error.headers.get("Retry-After"))) from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise Passing(f"{type(error).__name__}: {error}") from error


def open_url(request: urllib.request.Request, *, timeout: float) -> http.client.HTTPResponse:
    """The answer to a request, redirects followed: a question for the head of a file stays one."""
    return urllib.request.build_opener(_Redirects).open(request, timeout=timeout)


def _append_body(answer: http.client.HTTPResponse, partial: PartialFile, *, stored_bytes: int) -> None:
    content_type = answer.headers.get_content_type()
    if content_type in HTML:
        raise Passing(f"a web page came instead of the file ({content_type})")
    start = stored_bytes if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
    announced = answer.headers.get("Content-Length", "")
    rest_bytes = int(announced) if announced.isdigit() else None
    etag = answer.headers.get("ETag", "")
    # A weak ETag does not promise equal bytes, so nothing is resumed by it.
    partial.tag.write_text("" if etag.startswith("W/") else etag, encoding="utf-8")
    bar = Progress(f"fetch {partial.path.name}", total=rest_bytes, unit="bytes")
    with open(partial.path, "ab" if start else "wb") as file, bar:
        while block := answer.read(BLOCK_BYTES):
            file.write(block)
            bar.advance(len(block))
    if rest_bytes is not None and bar.done != rest_bytes:
        raise Passing(f"{start + bar.done:,} of {start + rest_bytes:,} bytes came")


def _download_from_any(fetch: Fetch, partial: PartialFile, *, pinned: str, owner: str) -> str:
    """Download from the first place that has the file; return its sha256."""
    faults: list[str] = []
    for url in (fetch.url, *fetch.mirrors):
        try:
            with host_slot(url):
                return _download_checked(url, partial, pinned=pinned, what=f"{owner}: {url}")
        except InputError as error:
            faults += error.faults
    raise InputError(faults)


def _download_checked(url: str, partial: PartialFile, *, pinned: str, what: str) -> str:
    seen: set[str] = set()

    def attempt() -> str:
        try:
            download(url, partial, resume=bool(pinned))
        except Refused as error:
            raise InputError(f"{what}: {error}; correct the URL, or name a mirror that has the file") from error
        sha256 = sha256_file(partial.path)
        if not pinned or sha256 == pinned:
            return sha256
        partial.clear()
        # The same wrong bytes twice are another file; other bytes each time were damaged on the way.
        if sha256 in seen:
            raise InputError(
                f"{what}: sha256 is {sha256}, pinned is {pinned}; the file has changed: look at it, then pin its "
                "new hash"
            )
        seen.add(sha256)
        raise Passing(f"sha256 is {sha256}, pinned is {pinned}")

    return retried(attempt, what=what)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; the token goes along on the same host only."""

    def redirect_request(self, req: urllib.request.Request, *answer: Any) -> urllib.request.Request | None:  # noqa: ANN401
        redirected = super().redirect_request(req, *answer)
        token = req.unredirected_hdrs.get("Authorization")
        if redirected is not None:
            redirected.method = req.get_method()
            if token and urlsplit(redirected.full_url)[:2] == urlsplit(req.full_url)[:2]:
                redirected.add_unredirected_header("Authorization", token)
        return redirected
