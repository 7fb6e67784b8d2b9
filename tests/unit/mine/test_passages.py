import pyarrow as pa
import pytest

import f2llm.mine.passages as module
from f2llm.mine.passages import PassageLookup, corpus_ids
from f2llm.records.ids import doc_id
from f2llm.records.schemas.curate import NEAR
from f2llm.records.schemas.sources import CORPUS
from f2llm.records.tables import NO_ROW, write_table
from f2llm.records.text_keys import content_key


@pytest.fixture(params=[2, 1000])
def find(tmp_path, request, monkeypatch):
    """Return a lookup in the corpus a, A, b, c, d with the edges b-c and c-d, in batches of some rows."""
    monkeypatch.setattr(module, "ROWS_AT_ONCE", request.param)
    texts = sorted(["a", "A", "b", "c", "d"], key=doc_id)
    rows = [{"doc_id": doc_id(text), "text": text, "content_key": content_key(text)} for text in texts]
    edges = [{"doc_id": doc_id(a), "other_id": doc_id(b), "similarity": 0.9} for a, b in (("b", "c"), ("c", "d"))]
    for name, schema, content in (("corpus", CORPUS, rows), ("near", NEAR, edges)):
        write_table(tmp_path / name, schema=schema, rows=[pa.Table.from_pylist(content, schema=schema)])

    def call(ids=(), keys=()):
        found = PassageLookup.find(
            tmp_path / "corpus", near=tmp_path / "near", ids=[doc_id(text) for text in ids],
            keys=[content_key(text) for text in keys],
        )  # fmt: skip
        return found, {text: row for row, text in enumerate(texts)}

    return call


def test_rows_of_ids_and_keys_are_found_and_absent_ones_have_none(find):
    found, row = find(ids=["b", "gone"], keys=["a", "gone"])
    assert found.rows([doc_id("b"), doc_id("gone")]) == [row["b"], NO_ROW]
    assert found.rows_of_keys([content_key("a"), content_key("gone")]) == [sorted([row["a"], row["A"]]), []]


def test_the_same_are_copies_by_key_and_direct_neighbours_by_edge(find):
    found, row = find(ids=["b", "a"])
    assert found.same(row["a"]) == {row["a"], row["A"]}
    assert found.same(row["b"]) == {row["b"], row["c"]}  # not d, which is no neighbour of b


def test_the_same_of_a_text_that_is_known_by_its_key_alone(find):
    found, row = find(keys=["C"])
    assert found.same(found.rows_of_keys([content_key("C")])[0][0]) == {row["b"], row["c"], row["d"]}


def test_nothing_asked_for_finds_nothing(find):
    found, _ = find()
    assert found.rows([doc_id("a")]) == [NO_ROW]


def test_ids_come_in_the_order_of_the_rows(find, tmp_path):
    _, row = find()
    ids = b"".join(batch.tobytes() for batch in corpus_ids(tmp_path / "corpus"))
    assert ids == b"".join(doc_id(text) for text in sorted(row, key=row.get))
