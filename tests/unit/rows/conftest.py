"""Files of rows, read by the reader that everything shares."""

import pytest

from f2llm.rows.archives import RawFile
from f2llm.rows.layout import RowFile, RowLayout
from f2llm.rows.reader import RawRows, sound_rows


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file of text or bytes."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def read():
    """Return a function that reads the rows of a path, flaws among them."""

    def read(path, **layout):
        return list(sound_rows(RowFile(RawFile(path, name=path.name)), RowLayout(**layout)))

    return read


@pytest.fixture
def read_needed():
    """Return a function that reads rows as adapters do: the values, and (reason, count) of what is left out."""

    def read(path, *needed, **layout):
        rows = RawRows([RawFile(path, name=path.name)], RowLayout(**layout))
        values = [row.values for row in rows.read(*needed)]
        return values, [(left.reason, left.count) for left in rows.left_out()]

    return read
