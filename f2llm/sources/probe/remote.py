"""Files on servers as streams that are read by ranges, within a budget of bytes, never whole."""

import io
from collections.abc import Callable

from f2llm.fetch import hub, web
from f2llm.fetch.retry import Refused, retried
from f2llm.records.errors import InputError

TRIES = 3  # a person waits


class Spent(Exception):
    """The bytes that may be read of one source, model or task are used up."""


class Budget:
    """Bytes that may still be read of one source, model or task.

    Attributes:
        read: bytes that were asked for so far.
        reserved: bytes of what is left that are kept for later files.
    """

    def __init__(self, most: int) -> None:
        self._most, self.read, self.reserved = most, 0, 0

    def take(self, count: int) -> None:
        """Note `count` more bytes.

        Raises:
            Spent: there are not as many left.
        """
        if self.read + count > self._most - self.reserved:
            raise Spent
        self.read += count


class RemoteFile(io.RawIOBase):
    """A file of a URL that can be read and sought in; each read is one request for a range.

    `size` is what the hub's listing says, None where only the server knows; `what` names the file in errors; `refused`
    makes the fault of a refusal. Reading raises `Spent`, `web.NoRanges` or an InputError.
    """

    def __init__(
        self, url: str, *, size: int | None, budget: Budget, what: str, refused: Callable[[Refused], InputError]
    ) -> None:
        self._url, self._size, self._budget, self._what = url, size, budget, what
        self._position, self._refused = 0, refused
        self._token = hub.token() if url.startswith(f"{hub.endpoint()}/") else ""

    @property
    def size(self) -> int:
        """Size of the file.

        Raises:
            NoRanges: the server does not say it.
        """
        if self._size is None:
            self._part(0, 1)
        if self._size is None:
            raise web.NoRanges(self._url)
        return self._size

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set where the next byte is read, from the start, here or the end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        self._position = offset + (self.size if start is None else start)
        return self._position

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """Fill the buffer, as far as the file goes."""
        count = len(buffer) if self._size is None else min(len(buffer), self._size - self._position)
        if count <= 0:
            return 0
        content = self._part(self._position, count).content
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _part(self, first: int, count: int) -> web.Part:
        self._budget.take(count)
        try:
            part = retried(
                lambda: web.read_range(self._url, first=first, count=count, token=self._token),
                what=self._what,
                tries=TRIES,
            )
        except Refused as error:
            raise self._refused(error) from error
        self._size = part.of_bytes if self._size is None else self._size
        return part
