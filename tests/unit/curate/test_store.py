import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.curate.store import scratch


def test_what_a_killed_job_left_is_cleared(tmp_path):
    folder = tmp_path / ".scratch"
    (folder / "spill").mkdir(parents=True)
    (folder / "engine.duckdb").write_text("half a database")

    with scratch(folder, memory_mb=100, threads=1) as store:
        assert [path.name for path in store.folder.iterdir()] == ["engine.duckdb"]

    assert not folder.exists()


def test_a_table_in_order_is_used_as_it_is_and_another_is_sorted(tmp_path):
    a, b, c = (bytes([letter]) * 16 for letter in b"abc")
    for name, ids in (("sorted", [a, b, c]), ("shuffled", [c, a, b])):
        pq.write_table(pa.table({"id": ids}), tmp_path / name, row_group_size=2)

    with scratch(tmp_path / "it's", memory_mb=100, threads=1) as store:
        assert store.in_order(tmp_path / "sorted", key="id") == tmp_path / "sorted"
        copy = store.in_order(tmp_path / "shuffled", key="id")
        assert pq.read_table(copy)["id"].to_pylist() == [a, b, c]


def test_equal_rows_are_looked_for_among_live_rows_only(tmp_path):
    pq.write_table(pa.table({"key": ["x", "y", "x", "y", "x"]}), tmp_path / "t")

    with scratch(tmp_path / "s", memory_mb=100, threads=1) as store:
        first = store.equal_rows(tmp_path / "t", key="key", live=np.array([False, True, True, True, True]))

    assert first.tolist() == [-1, 1, 2, 1, 2]
