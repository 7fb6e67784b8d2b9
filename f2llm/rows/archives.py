"""Read the files of a source in place: archives are never unpacked, their members never trusted.

A wheel is a zip file. Its members are streamed out of it; names that could lead out of a folder,
links, encrypted members and members beyond a size limit are refused. A member may itself be a zip
file ("data.zip!rows.csv") or compressed ("rows.csv.bz2", "rows.csv.gz"). What is damaged or cut is
named when it is read.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

from f2llm.errors import InputError
from f2llm.records.files import SEPARATOR, check_member_name

MOST_BYTES = 4 << 30  # of one member, unpacked
MOST_NESTED_BYTES = 512 << 20  # of a zip file inside a zip file, which is held in memory
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


class RawFile:
    """One fetched file: a zip archive, or a plain file whose only member is named ""."""

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
            if not member:
                stream: IO[bytes] = stack.enter_context(open(self.path, "rb"))
            else:
                stream = _open_member(self._zip(), outer, stack, self.where(outer))
            for depth, name in enumerate(inner, 1):
                where = self.where(SEPARATOR.join([outer, *inner[:depth]]))
                nested = io.BytesIO(_limited(stream, MOST_NESTED_BYTES, where).read())
                stream = _open_member(stack.enter_context(_open_zip(nested, where)), name, stack, where)
            yield stack.enter_context(_unpacked(stream, member or self.name, self.most_bytes, self.where(member)))

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


def _unpacked(stream: IO[bytes], name: str, most_bytes: int, where: str) -> BinaryIO:
    """`stream` unpacked as its suffix says, refusing to give more than `most_bytes`."""
    compression = COMPRESSIONS.get(PurePosixPath(name.lower()).suffix)
    if compression is None:
        return _limited(stream, most_bytes, where)
    checked = _limited(stream, most_bytes, where)
    if not checked.peek(len(compression.magic)).startswith(compression.magic):
        raise InputError(f"{where}: not {compression.name}; rename it or fetch it again")
    return _limited(compression.unpack(checked), most_bytes, where)


def _limited(stream: IO[bytes], most_bytes: int, where: str) -> io.BufferedReader:
    return io.BufferedReader(_Limited(stream, most_bytes, where), READ_BYTES)


class _Limited(io.RawIOBase):
    """A stream that names its file when it is damaged, and fails after `most_bytes`: the guard against zip bombs."""

    def __init__(self, stream: IO[bytes], most_bytes: int, where: str) -> None:
        self._stream, self._left, self._most, self._where = stream, most_bytes, most_bytes, where

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        try:
            block = self._stream.read(len(buffer))
        except (*DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of the bytes
                raise
            raise InputError(f"{self._where}: damaged or cut short ({error}); fetch it again") from error
        self._left -= len(block)
        if self._left < 0:
            raise InputError(
                f"{self._where}: more than {self._most:,} bytes unpacked; no such large member is read, split the file"
            )
        buffer[: len(block)] = block
        return len(block)
