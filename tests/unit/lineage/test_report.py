import re

import pytest

from f2llm.errors import InputError
from f2llm.lineage.funnel import read_funnel
from f2llm.lineage.layout import read_layout
from f2llm.lineage.mining import read_mining
from f2llm.lineage.report import build_report
from f2llm.records.files import read_json, write_json


def build(results):
    return build_report(
        results, run="toyrun", heldout=[], jobs=[str(results / "job.json")], output=results / "index.html"
    )


def page(results, name="index"):
    build(results)
    return (results / f"{name}.html").read_text()


def test_the_funnel_counts_the_tables(results):
    (row,) = read_funnel(read_layout(results, run="toyrun"))
    assert (row.normalised, row.held_out, row.curated, row.tuples, row.planned) == (3, 1, 2, 1, 2)
    assert row.removed == {("passage", "near", "a copy"): 1}
    assert row.rejected == {"filtered_out": 2}


def test_texts_from_data_are_never_markup(results):
    assert "<script" not in page(results)
    html = page(results, "tuples")
    assert "<script" not in html
    assert "The &lt;script&gt;alert(1)&lt;/script&gt; answer" in html


def test_gains_and_the_tasks_that_did_not_improve_are_said(results):
    html = page(results)
    assert "+30.0" in html
    assert "+20.0" in html
    assert re.search(r"Not better than the better pooling of the base model: Worse\.", html)


def test_a_source_that_lost_most_of_its_tuples_is_warned_about(results):
    assert "toy: mining dropped 2 of 3 tuples" in page(results)


def test_the_page_asks_no_network_and_names_no_path_of_this_machine(results):
    for html in (page(results), page(results, "tuples")):
        assert not re.search(r'(src|href)="(?!#|tuples.html|index.html)', html)
        assert str(results) not in html
        assert "@import" not in html


def test_memory_of_child_processes_counts(results):
    assert "at most 700 MB" in page(results)


def test_the_same_tables_give_the_same_bytes(results):
    assert page(results) == page(results)


def test_a_missing_table_is_named(results):
    (results / "runs/toyrun/metrics.parquet").unlink()
    with pytest.raises(InputError, match=r"a table is missing .*metrics\.parquet"):
        build(results)


def test_a_run_that_is_not_there_is_named_with_those_that_are(results):
    with pytest.raises(InputError, match="there is no run 'other'; runs here: toyrun"):
        read_layout(results, run="other")


def test_a_source_that_the_licence_policy_keeps_out_is_named(results):
    assert "news: left out by the licence policy of the run (licence CC-BY-NC-4.0, commercial use: no)." in page(
        results
    )


def test_a_skipped_source_is_named_with_its_reason(results):
    path = results / "sources" / "toy" / "manifest.json"
    write_json(path, read_json(path) | {"skipped": "the server has gone"})
    assert "toy: skipped, and the run went on without it: the server has gone" in page(results)


def test_counts_of_a_publication_stand_beside_ours_where_there_are_any(results):
    assert '<th class="n">published</th>' not in page(results)
    path = results / "runs" / "toyrun" / "run.json"
    run = read_json(path)
    run["settings"]["sources"][0]["expected"] = {"queries": 98_765}
    write_json(path, run)
    html = page(results)
    assert '<th class="n">published</th>' in html and "98,765" in html


def test_a_comparison_with_published_tuples_is_shown(results):
    layout = read_layout(results, run="toyrun")
    figures = {
        "common": 41, "ours_only": 1, "theirs_only": 2, "same_positive": 40, "negatives_common": 7,
        "negatives_ours": 9, "negatives_theirs": 8,
    }  # fmt: skip
    assert "Beside published tuples" not in page(results)
    write_json(layout.mined("toy") / "released.json", figures)
    assert re.search(r'Beside published tuples.*<td class="n">41</td>', page(results), re.DOTALL)


def test_the_ranks_of_positives_are_counted_over_kept_and_rejected_pairs(results):
    ranks = read_mining(
        read_layout(results, run="toyrun"), *read_funnel(read_layout(results, run="toyrun")), counts={}
    ).ranks
    assert ranks == ({"1": 0, "2-5": 1, "6-10": 1}, 1, 3)
    assert re.search(r"rank 2-5.*33.3 %.*33.3 %.*33.3 %", page(results), re.DOTALL)


def test_an_approximate_search_is_said_with_its_recall(results):
    path = results / "job.json"
    job = read_json(path)
    assert "approximate" not in page(results)
    write_json(path, job | {"counts": {"index": "ivf", "recall": 0.873, "recall_queries": 200}})
    assert "ivf: 87.3% of the 10 nearest found, measured on 200 queries" in page(results)


def test_tuples_and_rejected_pairs_are_there_to_read(results):
    html = page(results, "tuples")
    assert "what is asked?" in html and "(rank 3)" in html and "A third passage" in html
    assert "too few passages within the score limits" in html and "what else is asked?" in html
