import errno
import os
import subprocess

import pytest

from f2llm.curate import near, passages
from f2llm.curate.store import scratch

LONG = (
    "the old lighthouse keeper walked along the rocky shore every evening and counted the ships that passed "
    "beyond the reef before he climbed the narrow stairs and lit the lamp"
)


def spelt_apart(text, count):
    """Return so many texts with the same words that are not equal: a comma or none in each of the gaps."""
    words = text.split()
    return [
        "".join(word + (", " if at >> place & 1 else " ") for place, word in enumerate(words)) for at in range(count)
    ]


def test_short_texts_alone_are_compared_exactly(curate):
    found = curate(["lamp", "Lamp", "red lamp", "boat"])
    assert len(found.corpus) == 3
    assert found.near == []


def test_equal_texts_alone_leave_one(curate):
    copies = [LONG.replace(" ", " " * count) for count in range(1, 30)]
    found = curate(copies)
    assert len(found.corpus) == 1
    assert len(found.removed) == 28


def test_very_many_copies_of_one_text_leave_one_and_cost_a_line_each(curate):
    copies = spelt_apart(LONG, 2000)
    found = curate(copies)
    assert len(found.corpus) == 1
    assert found.counts["near_candidates"] <= (near.LEADERS + near.NEIGHBOURS) * len(copies)


def test_a_very_long_text_is_compared_like_any_other(curate):
    long = " ".join(f"{LONG} {at}" for at in range(3000))
    assert len(long) > passages.CHARACTERS_PER_PART
    found = curate([long, long + " again", LONG], texts=[LONG])
    assert found.why(long) == "near: near copy"
    assert found.why(LONG) == "decontaminate: found in the evaluation texts"
    assert found.counts["contaminated_passages"] == {"Toy": 2}


def test_texts_of_many_scripts_and_of_none_stay_apart(curate):
    texts = [
        "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902", "\u4e2d\u6587\u6587\u672c", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
        "\u05e2\u05d1\u05e8\u05d9\u05ea mixed \u4e2d\u6587", "\U0001f600", "\U0001f601", "...", "\ufdfa", "\u200b",
    ]  # fmt: skip
    found = curate(texts)
    assert sorted(found.corpus) == sorted(texts)


def test_chinese_passages_that_differ_in_one_letter_stay_apart(curate):
    text = "".join(chr(0x4E00 + at * 7) for at in range(120))
    texts = [text, text[:60] + "\u4e0d" + text[60:], text[:60] + text[61:]]
    assert len(curate(texts).corpus) == 3


def test_a_source_of_held_out_queries_alone_gives_empty_tables(curate, query):
    found = curate(["one"], [query("who?", ("one",), split="test")])
    assert found.queries == {}


def test_a_full_scratch_disk_is_said_before_it_kills(curate, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device: .*bands.u64") as error:
        curate([LONG, LONG + " again"])
    assert error.value.errno == errno.ENOSPC
    assert not list(tmp_path.glob("run*/*.parquet"))
    assert not list(tmp_path.glob("run*/.scratch"))


@pytest.fixture
def small_disk(tmp_path):
    """Return a file system of 1 MB, where this machine lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("what", ["rows", "mapped", "engine"])
def test_a_disk_that_is_really_full_raises_what_it_is(small_disk, what):
    from f2llm.curate.shingles import char_shingles
    from f2llm.curate.store import HashRows, reserve

    with pytest.raises(OSError) as error, scratch(small_disk / "s", memory_mb=60, threads=1) as store:
        if what == "rows":
            with HashRows(store.folder / "rows") as file:
                for _ in range(10):
                    file.append(char_shingles([LONG * 300], size=5))
        elif what == "mapped":
            reserve(store.folder / "bands", 2_000_000)
        else:
            store.engine.execute("CREATE TABLE t AS SELECT range AS a, hash(range) AS b FROM range(1000000)")
            store.engine.execute("CHECKPOINT")
    assert error.value.errno == errno.ENOSPC
    assert not (small_disk / "s").exists()
