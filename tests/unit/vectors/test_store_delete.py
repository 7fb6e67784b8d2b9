import numpy as np
import pytest

from f2llm.vectors.store import FLOAT16, FLOAT32, VectorStore
from f2llm.vectors.store_delete import delete_vectors

IDS = [bytes([number]) * 16 for number in range(5)]


@pytest.mark.parametrize("dtype", [FLOAT16, FLOAT32])
def test_rows_are_gone_and_the_others_are_as_they_were(tmp_path, dtype):
    store = VectorStore(tmp_path / "enc", key="k", dtype=dtype)
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    store.put(IDS[:3], rows[:3], precision="float32")
    store.put(IDS[3:], rows[3:], precision="float32")
    assert delete_vectors(tmp_path, {IDS[1]}) == 1
    again = VectorStore(tmp_path / "enc", key="k", dtype=dtype, compare=True)
    assert again.missing(IDS).tolist() == [1]
    assert again.get([IDS[0], IDS[2], IDS[4]]).tolist() == rows[[0, 2, 4]].tolist()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and IDS[1] in path.read_bytes()]


def test_a_shard_of_which_nothing_is_left_is_deleted(tmp_path):
    VectorStore(tmp_path, key="k").put(IDS, np.ones((5, 2), np.float32), precision="float32")
    assert delete_vectors(tmp_path, set(IDS)) == 5
    assert list(tmp_path.iterdir()) == []
    assert delete_vectors(tmp_path, set(IDS)) == 0
