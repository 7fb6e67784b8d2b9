import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.records.errors import InputError
from f2llm.records.files import read_json
from f2llm.records.ids import doc_id
from f2llm.sources.vectors import store_vectors
from f2llm.vectors.store import VectorStore

WHERE = "model mine"


@pytest.fixture
def given(tmp_path):
    """Write files of (texts or ids, vectors) and store them."""

    def call(passages=None, queries=None, column="text"):
        origin = tmp_path / "origin"
        origin.mkdir(exist_ok=True)
        for role, rows in (("passages", passages), ("queries", queries)):
            if rows is not None:
                table = pa.table({column: list(rows), "vector": pa.array(list(rows.values()))})
                pq.write_table(table, origin / f"{role}-0.parquet")
        return store_vectors(origin, tmp_path / "model", where=WHERE), tmp_path / "model"

    return call


def test_vectors_are_found_by_text_scaled_and_apart_by_role(given):
    counts, folder = given({"same": [3.0, 4.0]}, {"same": [0.0, 2.0], "other": [1.0, 0.0]})
    key = read_json(folder / "vectors.json")["key"]
    assert counts == {"passages": 1, "queries": 2, "dimensions": 2}
    np.testing.assert_allclose(VectorStore(folder / "passages", key=key).get([doc_id("same")]), [[0.6, 0.8]], atol=1e-3)
    assert VectorStore(folder / "queries", key=key).get([doc_id("same")]).tolist() == [[0.0, 1.0]]


def test_ids_may_stand_for_texts(given):
    _, folder = given({doc_id("a").hex(): [1.0]}, {doc_id("b").hex(): [1.0]}, column="id")
    key = read_json(folder / "vectors.json")["key"]
    assert VectorStore(folder / "passages", key=key).get([doc_id("a")]).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"a": [1.0, 0.0], "b": [0.0, 0.0]}, "passages-0.parquet: row 1: its vector is zero or not finite"),
        ({"a": [float("nan"), 0.0]}, "passages-0.parquet: row 0: its vector is zero or not finite"),
        ({"a": [1.0, 0.0], "b": [1.0]}, "passages-0.parquet: row 1: its vector has 1 numbers, others have 2"),
        ({"a": []}, "passages-0.parquet: row 0: its vector has 0 numbers"),
    ],
)
def test_a_bad_vector_is_refused_with_file_and_row(given, rows, message):
    with pytest.raises(InputError, match=message):
        given(rows, {"q": [1.0, 0.0]})


def test_queries_of_another_size_than_the_passages_are_refused(given):
    with pytest.raises(InputError, match="queries-0.parquet: row 0: its vector has 1 numbers, others have 2"):
        given({"a": [1.0, 0.0]}, {"q": [1.0]})


def test_an_id_that_is_none_and_one_that_comes_twice_are_refused(given, tmp_path):
    with pytest.raises(InputError, match="row 0: id is 'abc', not 32 hex digits"):
        given({"abc": [1.0]}, {"q": [1.0]}, column="id")
    given({"a": [1.0]}, {"q": [1.0]})
    pq.write_table(pa.table({"text": ["a"], "vector": [[-1.0]]}), tmp_path / "origin" / "passages-1.parquet")
    with pytest.raises(InputError, match=f"id {doc_id('a').hex()} has two vectors"):
        given()


def test_missing_files_and_columns_are_said_together(given, tmp_path):
    with pytest.raises(InputError, match=r"no passages\*.parquet") as raised:
        given()
    assert len(raised.value.faults) == 2
    with pytest.raises(InputError, match="its columns are name, vector; it needs `vector`, and `text` or `id`"):
        given({"a": [1.0]}, {"q": [1.0]}, column="name")
