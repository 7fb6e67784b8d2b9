import bz2
import gzip
import io
import shutil
import stat
import zipfile

import pytest

from f2llm.records.errors import InputError
from f2llm.rows.archives import COMPRESSIONS, MOST_BYTES, RawFile


def raw(path, **limits):
    return RawFile(path, name=path.name, **limits)


def test_members_are_read_without_unpacking(wheel, tmp_path):
    file = raw(wheel({"toy/a.txt": "one", "toy/b.txt": "two", "other/c.txt": "three"}))
    assert file.members(prefix="toy/", suffix=".txt") == ["toy/a.txt", "toy/b.txt"]
    assert file.read("toy/b.txt") == b"two"
    assert file.where("toy/b.txt") == "toy-1.0-py3-none-any.whl!toy/b.txt"
    assert not (tmp_path / "toy").exists()


def test_a_compressed_member_of_a_zip_file_inside_a_wheel_is_read(wheel):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("rows.csv.bz2", bz2.compress(b"a,b\n"))
    assert raw(wheel({"data.zip": inner.getvalue()})).read("data.zip!rows.csv.bz2") == b"a,b\n"


def test_a_missing_member_is_named_with_its_file(wheel):
    with pytest.raises(InputError, match=r"toy-1\.0-py3-none-any\.whl!toy/z\.txt: there is no such member"):
        raw(wheel({"toy/a.txt": ""})).read("toy/z.txt")


@pytest.mark.parametrize("name", ["../out.txt", "/etc/passwd", "a/../../b", "C:\\x", "a\\..\\b"])
def test_members_that_lead_out_of_the_archive_are_refused(wheel, name):
    with pytest.raises(InputError, match="could lead out of the archive"):
        raw(wheel({name: "x"})).read(name)


def test_a_link_is_refused(tmp_path):
    path = tmp_path / "links.zip"
    link = zipfile.ZipInfo("toy/a.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="is a link"):
        raw(path).read("toy/a.txt")


def padded(content, size):
    """`content` packed by gzip into exactly `size` bytes: zeros behind the last member are no data."""
    packed = gzip.compress(content)
    assert len(packed) <= size
    return packed.ljust(size, b"\0")


@pytest.mark.parametrize("place", ["plain", "member"])
@pytest.mark.parametrize(("packed", "fits"), [(1000, True), (999, False)])
def test_a_file_may_unpack_to_a_hundred_times_its_packed_size(wheel, tmp_path, place, packed, fits):
    content = padded(bytes(100 * 1000), packed)
    member = "zeros.gz" if place == "member" else ""
    path = wheel({member: content}) if member else tmp_path / "zeros.gz"
    if not member:
        path.write_bytes(content)
    file = raw(path, most_bytes=10)
    if fits:
        assert len(file.read(member)) == 100 * 1000
    else:
        with pytest.raises(
            InputError,
            match=r"zeros\.gz: more than 99,900 bytes unpacked of 999 packed, 100 times as many; text is packed 3 to 20 "
            "times, and beyond 100 times a file is taken for a zip bomb: .* fetch it unpacked or split it",
        ):
            file.read(member)


@pytest.mark.parametrize(("limit", "fits"), [(100_000, True), (99_999, False)])
def test_a_small_file_may_unpack_to_the_least_limit_whatever_its_ratio(tmp_path, limit, fits):
    (tmp_path / "zeros.gz").write_bytes(padded(bytes(100_000), 999))
    file = raw(tmp_path / "zeros.gz", most_bytes=limit)
    if fits:
        assert len(file.read()) == 100_000
    else:
        with pytest.raises(InputError, match="more than 99,999 bytes unpacked of 999 packed"):
            file.read()


def test_a_deflated_member_of_zeros_is_taken_for_a_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", bytes(1 << 20))
    with pytest.raises(
        InputError, match=r"bomb\.zip!zeros\.txt: more than [\d,]+ bytes unpacked of 1,033 packed, 100 t"
    ):
        raw(tmp_path / "bomb.zip", most_bytes=1000).read("zeros.txt")


@pytest.mark.parametrize(("free", "fits"), [(4000, True), (3999, False)])
def test_what_lies_beyond_the_least_limit_must_fit_the_free_disk(tmp_path, monkeypatch, free, fits):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - free, free))
    (tmp_path / "rows.gz").write_bytes(padded(bytes(5000), 500))
    file = raw(tmp_path / "rows.gz", most_bytes=1000)
    if fits:
        assert len(file.read()) == 5000
    else:
        with pytest.raises(
            InputError,
            match=r"rows\.gz: more than 4,999 bytes unpacked of 500 packed, 10 times as many, and what lies beyond 1,000 "
            "does not fit into the 3,999 bytes that are free on the disk of the results; free some space",
        ):
            file.read()


@pytest.mark.parametrize(("limit", "fits"), [(100, True), (99, False)])
def test_in_an_archive_inside_an_archive_the_limit_is_absolute(wheel, limit, fits):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("rows.txt", bytes(100))
    file = raw(wheel({"data.zip": inner.getvalue()}), most_bytes=limit)
    if fits:
        assert len(file.read("data.zip!rows.txt")) == 100
    else:
        with pytest.raises(
            InputError, match=r"data\.zip!rows\.txt: more than 99 bytes unpacked in an archive inside an"
        ):
            file.read("data.zip!rows.txt")


def test_a_plain_file_over_4_gib_is_read_to_its_end(tmp_path):
    path = tmp_path / "rows.txt"
    with open(path, "wb") as file:
        file.truncate(MOST_BYTES)  # sparse: it takes no room
        file.seek(MOST_BYTES)
        file.write(b"the last line")
    with raw(path).open() as stream:
        stream.seek(MOST_BYTES - 1)
        assert stream.read() == b"\0the last line"


class Repeated(io.RawIOBase):
    """Stands in for what a large gzip file unpacks to: one block, again and again."""

    BLOCK = b"line\n" * 1_000_000

    def __init__(self, blocks):
        self.blocks = blocks

    def read(self, _):
        self.blocks -= 1
        return self.BLOCK if self.blocks >= 0 else b""


@pytest.mark.parametrize(("packed", "fits"), [(45_000_000, True), (44_000_000, False)])
def test_a_gzip_file_over_4_gib_is_read_if_it_is_packed_as_text_is(tmp_path, monkeypatch, packed, fits):
    blocks = 890  # 4.45 * 10**9 bytes; 100 * 44 * 10**6 are 4.4
    gz = COMPRESSIONS[".gz"]
    monkeypatch.setitem(COMPRESSIONS, ".gz", gz._replace(unpack=lambda _: Repeated(blocks)))
    with open(tmp_path / "rows.jsonl.gz", "wb") as file:
        file.write(gz.magic)
        file.truncate(packed)
    buffer, count = bytearray(2 * len(Repeated.BLOCK)), 0
    with raw(tmp_path / "rows.jsonl.gz").open() as stream:
        if fits:
            while size := stream.readinto1(buffer):
                count += size
            assert count == blocks * len(Repeated.BLOCK) > MOST_BYTES
        else:
            with pytest.raises(
                InputError, match=r"more than 4,400,000,000 bytes unpacked of 44,000,000 packed, 100 times"
            ):
                while stream.readinto1(buffer):
                    pass


def test_the_size_that_an_archive_states_is_not_trusted_beyond_its_own(tmp_path):
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", bytes(1 << 24))
        archive.getinfo("zeros.txt").compress_size = 1 << 40  # as the directory at the end says it
    with pytest.raises(InputError, match=f"unpacked of {path.stat().st_size:,} packed"):
        raw(path, most_bytes=1000).read("zeros.txt")


def test_a_file_that_is_no_zip_file_is_named(tmp_path):
    (tmp_path / "broken.whl").write_text("no zip")
    with pytest.raises(InputError, match=r"broken\.whl: not a zip file"):
        raw(tmp_path / "broken.whl").read("a.txt")


def test_bytes_of_another_encoding_are_an_error_or_replaced(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"latin\.txt: not utf-8-sig"), raw(tmp_path / "latin.txt").text() as lines:
        lines.read()
    with raw(tmp_path / "latin.txt").text(errors="replace") as lines:
        assert lines.read() == "caf\N{REPLACEMENT CHARACTER}"
