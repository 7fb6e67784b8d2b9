import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import f2llm.vectors.store as module
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file
from f2llm.vectors.store import FLOAT16, FLOAT32, VectorStore, delete_vectors

KEY = "float32-cpu-abc"


def name(number):
    return bytes([number % 256] * 15 + [number // 256])


def rows_for(numbers, dim=4):
    return np.array([[number + place / 8 for place in range(dim)] for number in numbers], np.float16)


def filled(folder, *shards):
    store = VectorStore(folder, key=KEY)
    for numbers in shards:
        store.put([name(n) for n in numbers], rows_for(numbers), precision="float32")
    return store


def test_rows_come_back_in_the_order_asked_for(tmp_path):
    store = filled(tmp_path, [1, 2, 3], [4, 5])
    wanted = [5, 1, 4, 4, 2]
    assert store.get([name(n) for n in wanted]).tobytes() == rows_for(wanted).tobytes()


def test_another_process_sees_what_was_put(tmp_path):
    filled(tmp_path, [1, 2])
    assert VectorStore(tmp_path, key=KEY).get([name(2)]).tolist() == rows_for([2]).tolist()


def test_a_store_that_was_opened_before_sees_later_shards(tmp_path):
    store = filled(tmp_path, [7])
    assert store.missing([name(1), name(7)]).tolist() == [0]
    filled(tmp_path, [1])
    assert store.missing([name(1), name(7)]).tolist() == []
    assert store.get([name(7), name(1)]).tobytes() == rows_for([7, 1]).tobytes()


def test_missing_names_each_absent_id_once(tmp_path):
    store = filled(tmp_path, [1, 2])
    ids = [name(n) for n in (9, 1, 8, 9, 2)]
    assert store.missing(ids).tolist() == [0, 2]
    assert VectorStore(tmp_path / "empty", key=KEY).missing(ids).tolist() == [0, 1, 2, 4]


def test_a_row_that_is_not_there_is_refused_with_its_id(tmp_path):
    with pytest.raises(InputError, match=f"1 of 2 vectors are not there .id {name(9).hex()}"):
        filled(tmp_path, [1]).get([name(1), name(9)])


@settings(deadline=None, max_examples=20)
@given(
    stored=st.lists(st.lists(st.integers(0, 600), min_size=1, max_size=30, unique=True), max_size=4),
    data=st.data(),
)
def test_any_selection_of_rows_is_found_in_any_shards(tmp_path_factory, stored, data):
    # Ids with zero bytes at their end and rows far apart in a shard are among them.
    store = filled(tmp_path_factory.mktemp("store"), *stored)
    there = sorted({number for shard in stored for number in shard})
    wanted = data.draw(st.lists(st.sampled_from(there), max_size=20)) if there else []
    assert store.get([name(n) for n in wanted]).tobytes() == rows_for(wanted).tobytes()
    absent = [n for n in range(0, 600, 7) if n not in there]
    assert store.missing([name(n) for n in absent]).tolist() == list(range(len(absent)))


def test_one_row_of_a_large_shard_is_read_alone(tmp_path, monkeypatch):
    store = filled(tmp_path, list(range(500)))
    view = store.view([name(n) for n in range(500)])
    read = []
    monkeypatch.setattr(os, "pread", lambda *call, real=os.pread: read.append(call) or real(*call))
    assert view.rows(np.array([3, 490])).tobytes() == rows_for([3, 490]).tobytes()
    assert [call[1] for call in read] == [8, 8]


def test_blocks_cover_a_view_once(tmp_path):
    view = filled(tmp_path, [1, 2, 3], [4, 5]).view([name(n) for n in (5, 4, 3, 2, 1)])
    blocks = list(view.blocks(2))
    assert [first for first, _ in blocks] == [0, 2, 4]
    assert np.concatenate([rows for _, rows in blocks]).tobytes() == rows_for([5, 4, 3, 2, 1]).tobytes()
    assert (len(view), view.dim) == (5, 4)


def test_the_same_content_is_the_same_file(tmp_path):
    filled(tmp_path, [1, 2])
    before = sorted(os.listdir(tmp_path))
    filled(tmp_path, [1, 2])
    assert sorted(os.listdir(tmp_path)) == before and len(before) == 3


def test_nothing_is_written_for_no_rows(tmp_path):
    filled(tmp_path, [])
    assert os.listdir(tmp_path) == []


def test_a_shard_says_what_it_is(tmp_path):
    filled(tmp_path, [1, 2])
    about = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert {key: about[key] for key in ("key", "count", "dim", "precision")} == {
        "key": KEY, "count": 2, "dim": 4, "precision": "float32",
    }  # fmt: skip


def test_a_row_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(InputError, match="not finite"):
        VectorStore(tmp_path, key=KEY).put([name(1)], np.array([[1.0, np.nan]]), precision="float32")


@pytest.mark.parametrize("dtype", [FLOAT16, FLOAT32])
@pytest.mark.parametrize("damage", [np.nan, -np.nan, np.inf, -np.inf])
def test_a_stored_row_that_is_not_finite_is_named_when_it_is_read(tmp_path, dtype, damage):
    store = VectorStore(tmp_path, key=KEY, dtype=dtype)
    most = np.finfo(dtype).max
    store.put([name(1), name(2)], np.array([[most, -most], [0.0, -0.0]], dtype), precision="float32")
    path = next(tmp_path.glob("*.f*"))
    rows = np.fromfile(path, dtype)
    assert np.isfinite(store.get([name(1), name(2)])).all()
    rows[3] = damage
    rows.tofile(path)
    assert store.get([name(1)])[0, 0] == most
    with pytest.raises(InputError, match=f"{path.name}: the vector of text {name(2).hex()} is not finite; delete"):
        store.get([name(1), name(2)])


def test_a_writer_that_died_before_its_end_left_no_shard(tmp_path):
    store = filled(tmp_path, [1])
    for path in tmp_path.glob("*.json"):
        path.unlink()
    assert VectorStore(tmp_path, key=KEY).missing([name(1)]).tolist() == [0]
    assert store.missing([name(2)]).tolist() == [0]


@pytest.mark.parametrize("suffix", [".f16", ".ids"])
def test_a_truncated_shard_is_named(tmp_path, suffix):
    filled(tmp_path, [1, 2])
    path = next(tmp_path.glob(f"*{suffix}"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{path.name}: it has"):
        VectorStore(tmp_path, key=KEY).get([name(1)])


def test_a_shard_of_another_encoder_is_named(tmp_path):
    filled(tmp_path, [1])
    with pytest.raises(InputError, match="shard_.*another encoder .float32-cpu-abc, not other"):
        VectorStore(tmp_path, key="other").get([name(1)])


@pytest.mark.parametrize("suffix", [".f16", ".ids"])
def test_changed_bytes_of_a_shard_are_named_before_its_rows_are_used_where_asked_for(tmp_path, suffix):
    filled(tmp_path, [1, 2], [3])
    path = next(
        path for path in tmp_path.glob(f"*{suffix}") if json.loads(path.with_suffix(".json").read_text())["count"] == 2
    )
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    store = VectorStore(tmp_path, key=KEY, compare=True)
    assert store.get([name(3)]).tolist() == rows_for([3]).tolist()
    with pytest.raises(InputError, match=f"{path.name}: its bytes changed; delete .* made anew"):
        store.get([name(1)])
    with pytest.raises(InputError, match=f"{path.name}: its bytes changed"), store.view_of([[name(3)], [name(1)]]):
        pass


def test_the_bytes_of_a_shard_are_compared_once_and_only_if_its_rows_are_wanted(tmp_path, monkeypatch):
    filled(tmp_path, [1, 2], [3])
    read = []
    monkeypatch.setattr(module, "kept_sha256", lambda path: read.append(path.suffix) or sha256_file(path))
    store = VectorStore(tmp_path, key=KEY, compare=True)
    store.get([name(1)])
    store.get([name(2), name(1)])
    assert read == [".f16", ".ids"]
    store.get([name(3), name(1)])
    assert read == [".f16", ".ids"] * 2


def test_writers_at_the_same_time_do_not_disturb_each_other(tmp_path):
    code = (
        "import sys, numpy as np; from f2llm.vectors.store import VectorStore\n"
        f"store = VectorStore({str(tmp_path)!r}, key={KEY!r})\n"
        "for n in range(int(sys.argv[1]), int(sys.argv[1]) + 30):\n"
        "    store.put([bytes([n] * 16)], np.full((1, 4), n, np.float16), precision='float32')\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(first)]) for first in (0, 10, 20)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    found = VectorStore(tmp_path, key=KEY).get([bytes([n] * 16) for n in range(50)])
    assert found[:, 0].tolist() == list(range(50))
    assert len(os.listdir(tmp_path)) == 3 * 50


def test_places_of_many_ids_lie_in_a_file_and_give_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IDS_AT_ONCE", 3)
    store = filled(tmp_path, [1, 2, 3], [4, 5], [6])
    wanted = [5, 1, 4, 6, 2, 3, 5]
    with store.view_of([[name(n) for n in wanted[first : first + 2]] for first in range(0, 7, 2)]) as view:
        assert (len(view), view.dim) == (7, 4)
        for positions in ([0, 1, 2, 3, 4, 5, 6], [6, 0], [3], []):
            rows = view.rows(np.array(positions, np.int64))
            assert rows.tobytes() == rows_for([wanted[at] for at in positions]).tobytes()
        assert [first for first, _ in view.blocks(4)] == [0, 4]
    with pytest.raises(InputError, match="vectors are not there"), store.view_of([[name(1)], [name(9)]]):
        pass


def test_a_view_of_no_ids_is_empty(tmp_path):
    with filled(tmp_path, [1]).view_of([]) as view:
        assert (len(view), view.dim, list(view.blocks(4))) == (0, 0, [])


def test_shards_of_vectors_of_another_size_are_refused(tmp_path):
    store = filled(tmp_path, [1])
    store.put([name(2)], rows_for([2], dim=5), precision="float32")
    with pytest.raises(InputError, match="its vectors have [45] numbers, those of other shards [45]"):
        VectorStore(tmp_path, key=KEY).get([name(1)])


FIVE_IDS = [bytes([number]) * 16 for number in range(5)]


@pytest.mark.parametrize("dtype", [FLOAT16, FLOAT32])
def test_rows_are_gone_and_the_others_are_as_they_were(tmp_path, dtype):
    store = VectorStore(tmp_path / "enc", key="k", dtype=dtype)
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    store.put(FIVE_IDS[:3], rows[:3], precision="float32")
    store.put(FIVE_IDS[3:], rows[3:], precision="float32")
    assert delete_vectors(tmp_path, {FIVE_IDS[1]}) == 1
    again = VectorStore(tmp_path / "enc", key="k", dtype=dtype, compare=True)
    assert again.missing(FIVE_IDS).tolist() == [1]
    assert again.get([FIVE_IDS[0], FIVE_IDS[2], FIVE_IDS[4]]).tolist() == rows[[0, 2, 4]].tolist()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and FIVE_IDS[1] in path.read_bytes()]


def test_a_shard_of_which_nothing_is_left_is_deleted(tmp_path):
    VectorStore(tmp_path, key="k").put(FIVE_IDS, np.ones((5, 2), np.float32), precision="float32")
    assert delete_vectors(tmp_path, set(FIVE_IDS)) == 5
    assert list(tmp_path.iterdir()) == []
    assert delete_vectors(tmp_path, set(FIVE_IDS)) == 0


@pytest.mark.parametrize("content", ["{", "[]", '{"key": "k", "count": "x", "dim": 2}'])
def test_a_damaged_description_of_a_shard_is_named(tmp_path, content):
    filled(tmp_path, [1, 2])
    [path] = tmp_path.glob("shard_*.json")
    path.write_text(content)
    with pytest.raises(InputError, match=f"{path.name}: it cannot be read; delete the files of this shard"):
        VectorStore(tmp_path, key=KEY).shards()
