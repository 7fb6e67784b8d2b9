"""A run whose tables were made anew since, for another run that shares them: ids are told, rows are not trusted."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.lineage.trace.question import Question, answer, as_json, as_text
from f2llm.records.files import read_json, sha256_file, write_json
from f2llm.records.ids import doc_id, query_id, tuple_id

QUERY, NEW = query_id("retrieval", "what is asked?"), query_id("retrieval", "a new one?")
POSITIVE, NEGATIVE = doc_id("The <script>alert(1)</script> answer"), doc_id("A third passage")
TUPLE, NEW_TUPLE = tuple_id("toy", QUERY, POSITIVE), tuple_id("toy", NEW, POSITIVE)
NOTE = "tables of toy were made anew since run 'toyrun' was planned"


def ask(results, **question):
    return answer(results, Question(**question), run="toyrun", most=20)


@pytest.fixture
def remade(results):
    """The toy run, planned on its tables; then a query is put before its own in all of them."""
    tuples, queries = results / "mined/m-1/toy/tuples.parquet", results / "curated/c-1/toy/queries.parquet"
    run = results / "runs/toyrun/run.json"
    write_json(run, read_json(run) | {"sources": [{"name": "toy", "tuples_sha256": sha256_file(tuples)}]})
    (asked, other), (row,) = pq.read_table(queries).to_pylist(), pq.read_table(tuples).to_pylist()
    write(queries, [asked | {"query_id": NEW, "text": "a new one?"}, asked, other])
    write(tuples, [row | {"tuple_id": NEW_TUPLE, "query_id": NEW}, row | {"query_row": 1}])
    return results


def write(path, rows):
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)


def test_an_unchanged_run_has_no_note(results):
    assert [one.note for one in ask(results, step=0)] == [None]


def test_a_step_shows_the_text_that_its_tuple_has_and_says_so(remade):
    (found,) = ask(remade, step=0)
    assert (found.finding.tuple_id, found.finding.query) == (TUPLE.hex(), "what is asked?")
    assert f"  note: {NOTE}" in as_text([found])
    assert json.loads(as_json([found]))[0]["note"].startswith(NOTE)


def test_a_step_shows_no_text_where_the_tuple_is_gone_even_if_no_hash_was_recorded(results):
    (row,) = pq.read_table(results / "mined/m-1/toy/tuples.parquet").to_pylist()
    write(results / "mined/m-1/toy/tuples.parquet", [row | {"tuple_id": NEW_TUPLE}])
    (found,) = ask(results, step=0)
    assert (found.finding.tuple_id, found.finding.query) == (TUPLE.hex(), "")
    assert found.note.startswith(NOTE)


def test_queries_positives_and_tuples_are_seen_in_the_steps_of_their_tuple(remade):
    write_rows = pq.read_table(remade / "sources/toy/queries.parquet").to_pylist()
    write(remade / "sources/toy/queries.parquet", [*write_rows, write_rows[0] | {"query_id": NEW}])
    assert ask(remade, id=TUPLE.hex())[0].finding.steps == [0, 1]
    assert ask(remade, id=QUERY.hex())[0].finding.seen.steps == 2
    uses = ask(remade, id=POSITIVE.hex())[0].finding.uses
    assert {use.tuple_id: use.steps for use in uses} == {TUPLE.hex(): [0, 1], NEW_TUPLE.hex(): []}
    assert ask(remade, id=NEW.hex())[0].finding.seen.steps == 0


def test_negatives_are_not_told_by_rows_that_may_be_others_now(remade):
    (found,) = ask(remade, id=NEGATIVE.hex())
    assert found.finding.seen.steps == 0
    assert "which negatives were drawn" in found.note


def test_other_tokens_are_other_tables_too(results):
    run, tokens = results / "runs/toyrun/run.json", results / "tokens/t-1/toy/meta.json"
    write_json(tokens, {"passages.bin": "a"})
    write_json(run, read_json(run) | {"sources": [{"name": "toy", "tokens_sha256": sha256_file(tokens)}]})
    assert ask(results, source="toy")[0].note is None
    write_json(tokens, {"passages.bin": "bc"})
    assert ask(results, source="toy")[0].note.startswith(NOTE)
