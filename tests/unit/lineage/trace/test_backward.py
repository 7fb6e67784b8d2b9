import pytest

from f2llm.lineage.trace.question import Question, answer
from f2llm.lineage.trace.show import tuple_lines
from f2llm.records.errors import InputError
from f2llm.records.ids import doc_id as passage_id
from f2llm.records.ids import query_id, tuple_id

TUPLE = tuple_id(
    "toy", query_id("retrieval", "what is asked?"), passage_id("The <script>alert(1)</script> answer")
).hex()


def trace(results, identity):
    (found,) = answer(results, Question(id=identity), run="toyrun", most=1)
    return found.finding


def test_a_tuple_is_followed_to_its_rows_files_and_steps(results):
    found = trace(results, TUPLE)
    assert found.source == "toy"
    assert found.steps == [0, 1]
    assert [text.role for text in found.texts] == ["query", "positive", "negative (mined)", "negative (mined)"]
    assert found.texts[0].places == [("toy.jsonl", 7, "query")]
    assert found.texts[1].places == [("toy.jsonl", 7, "positive")]


def test_the_trace_is_readable(results):
    lines = tuple_lines(trace(results, TUPLE))
    assert lines[0] == f"tuple {TUPLE} of source toy"
    assert "    toy.jsonl: row 7, query" in lines
    assert lines[-2].endswith("sha256 " + "a" * 64)
    assert lines[-1] == "  seen by 2 steps of training, 0 to 1"


def test_an_unknown_id_is_answered_with_the_nearest(results):
    wrong = TUPLE[:-1] + ("0" if TUPLE[-1] != "0" else "1")
    with pytest.raises(InputError, match=f"nearest: {TUPLE}"):
        trace(results, wrong)
