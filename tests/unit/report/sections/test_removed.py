import pytest

from f2llm.records.files import read_json, write_json
from f2llm.records.ids import doc_id
from f2llm.records.schemas.curate import REMOVED
from f2llm.records.tables import write_rows
from f2llm.report.excerpts import MOST_WORDS, WORDS_SHOWN, found_inside, side_by_side
from f2llm.report.report import build_report
from f2llm.report.sections.removed import Clusters, read_clusters
from f2llm.runs.funnel import read_contamination
from f2llm.runs.layout import read_layout


def page(results):
    build_report(results, run="toyrun", heldout=[], jobs=[str(results / "job.json")], output=results / "index.html")
    return (results / "index.html").read_text()


def marked(pieces):
    return [piece.text.strip() for piece in pieces if piece.marked]


@pytest.mark.parametrize(
    ("left", "right", "ours", "theirs"),
    [
        ("the red lamp", "the blue lamp", ["red"], ["blue"]), ("the lamp", "the lamp again", [], ["again"]),
        ("The  Lamp", "the lamp", [], []), ("", "lamp", [], ["lamp"]),
    ],
)  # fmt: skip
def test_words_of_one_text_only_are_marked(left, right, ours, theirs):
    pieces = side_by_side(left, right)
    assert [marked(side) for side in pieces] == [ours, theirs]
    assert ["".join(piece.text for piece in side) for side in pieces] == [left, right]


def test_a_difference_far_into_long_texts_is_shown():
    left, right = [" ".join([f"w{at}" for at in range(500)] + [last, "end"]) for last in ("red", "blue")]
    ours, theirs = side_by_side(left, right)
    assert (marked(ours), marked(theirs)) == (["red"], ["blue"])
    assert sum(len(piece.text.split()) for piece in ours) <= WORDS_SHOWN + 2


def test_letters_of_chinese_are_marked_one_by_one_and_long_texts_are_cut():
    text = "".join(chr(0x4E00 + at) for at in range(500))
    ours, theirs = side_by_side(text + "\u7ea2\u706f", text + "\u84dd\u706f")
    assert (marked(ours), marked(theirs)) == (["\u7ea2"], ["\u84dd"])
    assert len("".join(piece.text for piece in ours)) <= WORDS_SHOWN + 4


def test_where_a_text_holds_another_is_shown():
    text = " ".join(f"w{at}" for at in range(1000)) + " the red lamp of the house and more"
    ours, theirs = found_inside(text, "the red lamp of that house")
    assert marked(theirs) == ["that"]
    assert "the red lamp of" in "".join(piece.text for piece in ours)


def test_endless_texts_are_looked_at_in_part():
    side_by_side("x " * 50 * MOST_WORDS, "y " * 50 * MOST_WORDS)


def test_clusters_follow_stand_ins_to_the_last(results):
    layout = read_layout(results, run="toyrun")
    ids = {name: doc_id(name) for name in "abcdefg"}
    rows = [("a", "b"), ("b", "c"), ("d", "c"), ("e", "f")]
    keys = sorted((ids[gone], ids[kept]) for gone, kept in rows)

    class Row(dict):
        def _asdict(self):
            return self

    table = [
        Row(id=gone, role="passage", stage="near", reason="near copy", kept_id=kept, similarity=0.9, evidence=None)
        for gone, kept in keys
    ] + [Row(id=ids["g"], role="passage", stage="positive", reason="r", kept_id=None, similarity=None, evidence=None)]  # fmt: skip
    write_rows(layout.curated("toy") / "removed.parquet", schema=REMOVED, rows=table)
    assert read_clusters(layout, "toy") == Clusters("toy", 2, 4, (1, 0, 1, 0, 0), 4, ids["c"])


def test_contamination_is_counted_by_task_and_corpora_beside(results):
    job = {
        "rule": "curate_source",
        "counts": {"contaminated_passages": {"Good": 1, "Wiki (corpus)": 5, "Good (corpus)": 2}},
    }
    good, wiki, worse = read_contamination(read_layout(results, run="toyrun"), [job])
    assert (good.task, good.dropped, good.reported, good.evaluation_texts, good.sources, good.corpus) == (
        "Good",
        1,
        0,
        1,
        {"toy": 1},
        2,
    )
    assert (wiki.task, wiki.dropped, wiki.corpus) == ("Wiki", 0, 5)
    assert (worse.dropped, worse.reported) == (0, 1)


def test_the_page_shows_reasons_clusters_hits_and_shared_texts(results):
    html = page(results)
    assert "By reason, over all sources" in html
    assert "Good, test id t7: run, containment 1.00, passage of toy, dropped" in html
    assert "<mark>&lt;script&gt;alert(1)&lt;/script&gt; </mark>" in html
    assert "<mark>A copy</mark>" in html
    assert "toy and other" in html and "4,321" in html


def test_tasks_that_are_not_decontaminated_are_said(results):
    assert "Not decontaminated" not in page(results)
    path = results / "scores" / "scoreboard.json"
    summary = read_json(path)
    summary["tasks"][0]["not_decontaminated"] = "no test data to match against"
    write_json(path, summary)
    assert "Not decontaminated (no test data to match against): Good." in page(results)
