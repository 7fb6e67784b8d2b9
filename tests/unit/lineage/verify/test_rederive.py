from typing import NamedTuple

import pytest

from f2llm.lineage.verify.rederive import rederive
from f2llm.records.files import write_json
from f2llm.records.ids import doc_id, query_id
from f2llm.runs.layout import read_layout
from f2llm.sources.normalise import Reading
from f2llm.sources.replay import read_again

TEXTS = {
    ("query", query_id("retrieval", "what is asked?")): ("what is asked?", "toy.jsonl", 7, "query"),
    ("passage", doc_id("The <script>alert(1)</script> answer")): ("The <script>alert(1)</script> answer", "toy.jsonl", 7, "positive"),
}  # fmt: skip


class Mention(NamedTuple):
    text: str
    file: str
    row: int
    field: str


def again(**changes):
    """Reread what the tables have; the two passages that origins.parquet lacks come from nowhere."""
    return lambda source, ids: {
        key: [Mention(*where)._replace(**changes)] for key, where in TEXTS.items() if key[1] in ids
    }


def test_texts_that_are_not_in_the_raw_files_are_named(results):
    found = rederive(read_layout(results, run="toyrun"), tuples=5, removed=0, seed=0, reread=again())
    assert (found.tuples, found.texts) == (1, 4)
    assert len(found.differences) == 2
    assert all("is not in the raw files" in one for one in found.differences)


@pytest.mark.parametrize(
    ("changes", "said"), [({"text": "what is asked!"}, "another text"), ({"row": 8}, "at other places")]
)
def test_another_text_or_place_is_a_difference(results, changes, said):
    found = rederive(read_layout(results, run="toyrun"), tuples=5, removed=0, seed=0, reread=again(**changes))
    assert sum(said in one for one in found.differences) == 2


def test_removed_rows_are_looked_up_too(results):
    found = rederive(read_layout(results, run="toyrun"), tuples=0, removed=5, seed=0, reread=again())
    assert (found.tuples, found.removed) == (0, 1)
    assert "A copy" not in found.differences[0]
    assert doc_id("A copy").hex() in found.differences[0]


def test_raw_files_are_read_again_as_the_adapter_reads_them(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"query": "a", "positive": "b"}\n{"query": "c", "positive": "b"}\n')
    write_json(tmp_path / "manifest.json", {"files": [{"name": "rows.jsonl"}]})
    wanted = {doc_id("b"), query_id("retrieval", "c"), doc_id("absent")}
    source = Reading(name="toy", task="retrieval", adapter="pairs")
    found = read_again(source, raw=tmp_path, manifest=tmp_path / "manifest.json", ids=wanted)
    assert {key: [(one.text, one.row, one.field) for one in mentions] for key, mentions in found.items()} == {
        ("passage", doc_id("b")): [("b", 0, "positive"), ("b", 1, "positive")],
        ("query", query_id("retrieval", "c")): [("c", 1, "query")],
    }
