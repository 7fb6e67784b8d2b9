"""Read the files of a source in place: archives are never unpacked, their members never trusted.

A wheel is a zip file. Its members are streamed out of it; names that could lead out of a folder,
links, encrypted members and what looks like a zip bomb are refused. A member may itself be a zip
file ("data.zip!rows.csv") or compressed ("rows.csv.bz2", "rows.csv.gz"). What is damaged or cut is
named when it is read.

A compressed file or a member of an archive may unpack to 4 GiB, whatever its packed size, and beyond that to
100 times its packed size, as far as the free disk of the results folder can hold it. A plain file has no limit: it
lies on the disk already. Why 100: deflate packs at most 1,032 to 1 (zlib.net/zlib_tech.html), bzip2, xz and zstandard
far more, and bombs come near their limit. Text does not: gzip packs 10**9 bytes of Wikipedia's XML 3.1 to 1, the best
programs 9.4 to 1 (mattmahoney.net/dc/text.html); lines that repeat their keys are rarely beyond 20 to 1.
Archives inside archives are where small files hide large ones, so there the limits are absolute.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

from f2llm.records.errors import InputError
from f2llm.records.files import SEPARATOR, check_member_name

MOST_BYTES = 4 << 30  # unpacked, whatever the packed size; the absolute limit in archives inside archives
MOST_RATIO = 100  # of unpacked to packed bytes beyond that
MOST_NESTED_BYTES = 512 << 20  # of a zip file inside a zip file, which is held in memory
SPOOL_BYTES = 64 << 20  # of an unpacked file that must be sought in; more of it goes to a temporary file
RESULTS = Path("results")  # what is read is written there, below the working directory
READ_BYTES = 1 << 20
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError)


class Compression(NamedTuple):
    """One way to compress a stream: its name, how its bytes begin, and what unpacks it."""

    name: str
    magic: bytes
    unpack: Callable[[IO[bytes]], IO[bytes]]


def _zstandard(stream: IO[bytes]) -> IO[bytes]:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")


COMPRESSIONS = {
    ".gz": Compression("gzip", b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream)),
    ".bz2": Compression("bzip2", b"BZh", bz2.BZ2File),
    ".xz": Compression("xz", b"\xfd7zXZ\0", lzma.LZMAFile),
    ".zst": Compression("zstandard", b"\x28\xb5\x2f\xfd", _zstandard),
}


class Limit(NamedTuple):
    """The most bytes that a stream may give, and the fault where it gives more: what it is and what to do."""

    most: int | None
    fault: str = ""


UNLIMITED = Limit(None)


def limit_of_unpacked(packed: int, *, most_bytes: int = MOST_BYTES) -> Limit:
    """How far a file of `packed` bytes may unpack: to `most_bytes` in any case, beyond that by ratio and free disk."""
    by_ratio = MOST_RATIO * packed
    if by_ratio <= most_bytes:
        return Limit(most_bytes, f"{_ratio(most_bytes, packed)}; {_BOMB}")
    free = shutil.disk_usage(RESULTS if RESULTS.is_dir() else ".").free
    if by_ratio <= most_bytes + free:
        return Limit(by_ratio, f"{_ratio(by_ratio, packed)}; {_BOMB}")
    most = most_bytes + free
    return Limit(
        most,
        f"{_ratio(most, packed)}, and what lies beyond {most_bytes:,} does not fit into the {free:,} bytes that are "
        "free on the disk of the results; free some space, or read a part of the file",
    )


def _ratio(unpacked: int, packed: int) -> str:
    return f"of {packed:,} packed, {unpacked / max(1, packed):,.0f} times as many"


_NESTED = "in an archive inside an archive, where no more is read; take it out of there"
_BOMB = (
    f"text is packed 3 to 20 times, and beyond {MOST_RATIO} times a file is taken for a zip bomb: look what it holds; "
    "if it is what you want, fetch it unpacked or split it"
)


class RawFile:
    """One fetched file: a zip archive, or a plain file whose only member is named "".

    `most_bytes` is what a file may unpack to whatever its packed size (`limit_of_unpacked`).
    """

    def __init__(self, path: str | Path, *, name: str, most_bytes: int = MOST_BYTES) -> None:
        self.path, self.name, self.most_bytes = Path(path), name, most_bytes
        self._archive: zipfile.ZipFile | None = None

    def close(self) -> None:
        """Close the archive; it opens again when it is next read."""
        if self._archive is not None:
            self._archive.close()
            self._archive = None

    def where(self, member: str = "") -> str:
        """Name of this place in the tables: "file!member", or "file" for a plain file."""
        return f"{self.name}{SEPARATOR}{member}" if member else self.name

    def members(self, *, prefix: str = "", suffix: str = "") -> list[str]:
        """Names of the archive's files with this prefix and suffix, sorted."""
        names = {info.filename for info in self._zip().infolist() if not info.is_dir()}
        return sorted(name for name in names if name.startswith(prefix) and name.endswith(suffix))

    @contextlib.contextmanager
    def open(self, member: str = "") -> Iterator[BinaryIO]:
        """Yield the unpacked bytes of `member` as a stream; the file itself when `member` is empty.

        Raises:
            InputError: no such member, not a zip file, damaged or cut bytes, or the member is not safe to read.
        """
        with contextlib.ExitStack() as stack:
            outer, *inner = member.split(SEPARATOR)
            packed = self.path.stat().st_size
            if not member:
                stream: IO[bytes] = stack.enter_context(open(self.path, "rb"))
            else:
                stream = _open_member(self._zip(), outer, stack, self.where(outer))
                # The archive's own word is not trusted beyond the bytes that there are.
                packed = min(packed, self._zip().getinfo(outer).compress_size)
            limit = limit_of_unpacked(packed, most_bytes=self.most_bytes)
            for depth, name in enumerate(inner, 1):
                where = self.where(SEPARATOR.join([outer, *inner[:depth]]))
                nested = io.BytesIO(_limited(stream, Limit(MOST_NESTED_BYTES, _NESTED), where).read())
                stream = _open_member(stack.enter_context(_open_zip(nested, where)), name, stack, where)
                limit = Limit(self.most_bytes, _NESTED)
            yield stack.enter_context(_unpacked(stream, member, self.name, limit, self.where(member)))

    @contextlib.contextmanager
    def text(self, member: str = "", *, encoding: str = "utf-8-sig", errors: str = "strict") -> Iterator[io.TextIOBase]:
        """Yield `member` as text without a byte order mark; line ends are left as they are, for the csv reader."""
        encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
        with self.open(member) as stream:
            try:
                with io.TextIOWrapper(stream, encoding, errors, newline="") as text:
                    yield text
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{self.where(member)}: not {encoding} ({error}); give the option `encoding`, or convert the file"
                ) from error
            except LookupError as error:
                raise InputError(f"{self.where(member)}: {error}; correct the option `encoding` or `errors`") from error

    @contextlib.contextmanager
    def seekable(self) -> Iterator[Path | IO[bytes]]:
        """Yield the unpacked bytes for readers that seek: the path of a plain file, a copy of a compressed one.

        A large copy lies in a temporary file beside the results, not in memory.

        Raises:
            InputError: as `open`.
        """
        folder = RESULTS if RESULTS.is_dir() else None
        with self.open() as stream:
            if stream.seekable():
                yield self.path
                return
            with tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=folder) as copy:
                shutil.copyfileobj(stream, copy, READ_BYTES)
                copy.seek(0)
                yield copy

    def read(self, member: str = "") -> bytes:
        """All bytes of `member`; for members that are parsed as a whole."""
        with self.open(member) as stream:
            return stream.read()

    def _zip(self) -> zipfile.ZipFile:
        """The archive, opened once: a large one lists thousands of members."""
        if self._archive is None:
            self._archive = _open_zip(self.path, self.name)
        return self._archive


@contextlib.contextmanager
def raw_files(folder: str | Path, names: Iterable[str]) -> Iterator[list[RawFile]]:
    """Yield the files `names` of a source's raw folder; their archives are closed at the end of the block."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(RawFile(Path(folder, name), name=name))) for name in names]


def _open_zip(file: Path | BinaryIO, where: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise InputError(f"{where}: not a zip file ({error}); fetch it again or correct the stanza") from error


def _open_member(archive: zipfile.ZipFile, name: str, stack: contextlib.ExitStack, where: str) -> IO[bytes]:
    check_member_name(name, where=where)
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise InputError(f"{where}: there is no such member; correct the member's name in the stanza") from None
    if info.flag_bits & 0x1:
        raise InputError(f"{where}: the member is encrypted; use a file that is not")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InputError(f"{where}: the member is a link; name the file that it points to")
    try:
        return stack.enter_context(archive.open(info))
    except DAMAGE as error:
        raise InputError(f"{where}: cannot be unpacked ({error}); fetch the archive again, or pack it anew") from error


def _unpacked(stream: IO[bytes], member: str, file: str, limit: Limit, where: str) -> BinaryIO:
    """`stream` unpacked as its suffix says; of a plain file that is not compressed the stream itself."""
    compression = COMPRESSIONS.get(PurePosixPath((member or file).lower()).suffix)
    if compression is None:
        return _limited(stream, limit, where) if member else stream  # type: ignore[return-value] - an open file
    checked = _limited(stream, limit if member else UNLIMITED, where)
    if not checked.peek(len(compression.magic)).startswith(compression.magic):
        raise InputError(f"{where}: not {compression.name}; rename it or fetch it again")
    return _limited(compression.unpack(checked), limit, where)


def _limited(stream: IO[bytes], limit: Limit, where: str) -> io.BufferedReader:
    return io.BufferedReader(_Limited(stream, limit, where), READ_BYTES)


class _Limited(io.RawIOBase):
    """A stream that names its file when it is damaged, and fails beyond its limit: the guard against zip bombs."""

    def __init__(self, stream: IO[bytes], limit: Limit, where: str) -> None:
        self._stream, self._limit, self._where = stream, limit, where
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        try:
            block = self._stream.read(len(buffer))
        except (*DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of the bytes
                raise
            raise InputError(f"{self._where}: damaged or cut short ({error}); fetch it again") from error
        self._bytes += len(block)
        most = self._limit.most
        if most is not None and self._bytes > most:
            raise InputError(f"{self._where}: more than {most:,} bytes unpacked {self._limit.fault}")
        buffer[: len(block)] = block
        return len(block)
