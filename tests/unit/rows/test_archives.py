import bz2
import io
import stat
import zipfile

import pytest

from f2llm.errors import InputError
from f2llm.rows.archives import RawFile


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


@pytest.mark.parametrize(("limit", "fits"), [(99, False), (100, True)])
def test_a_member_over_the_size_limit_is_refused(wheel, limit, fits):
    path = wheel({"zeros.bz2": bz2.compress(bytes(100))})
    if fits:
        assert len(raw(path, most_bytes=limit).read("zeros.bz2")) == 100
    else:
        with pytest.raises(InputError, match="more than 99 bytes"):
            raw(path, most_bytes=limit).read("zeros.bz2")


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
