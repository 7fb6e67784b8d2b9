import dataclasses
from pathlib import Path

import pytest

from f2llm.config.load import load_run_file
from f2llm.estimate import search
from f2llm.estimate.search import format_search, search_costs

RUN = load_run_file(Path(__file__).parents[3] / "config" / "f2llm-0.6b.yaml")


def test_the_paper_s_largest_sources_come_first_with_their_jobs():
    first, _, third, *_ = search_costs(RUN, tflops=790.0)
    assert (first.source, first.jobs) == ("paq", 10)
    assert third.source == "msmarco" and (third.queries, third.passages, third.jobs) == (365503, 4472684, 4)
    assert third.flops == 2 * 365503 * 4472684 * 1024
    assert third.gpu_seconds == pytest.approx(third.flops / (0.3 * 790e12))


def test_sources_without_counts_or_search_cost_nothing():
    assert {one.source for one in search_costs(RUN, tflops=1.0)}.isdisjoint({"banking77", "imdb"})
    unsized = dataclasses.replace(RUN.sources[0], expected=dataclasses.replace(RUN.sources[0].expected, queries=None))
    assert search_costs(dataclasses.replace(RUN, sources=(unsized,)), tflops=1.0) == []


def test_caps_count():
    source = dataclasses.replace(next(s for s in RUN.sources if s.name == "msmarco"), max_queries=10, max_passages=100)
    (one,) = search_costs(dataclasses.replace(RUN, sources=(source,)), tflops=1.0)
    assert (one.queries, one.passages, one.flops) == (10, 100, 2 * 10 * 100 * 1024)


def test_a_retriever_of_unknown_width_is_not_estimated(tmp_path):
    run = dataclasses.replace(RUN, retriever=dataclasses.replace(RUN.retriever, geometry=None))
    assert search_costs(run, tflops=1.0, results=tmp_path) == []
    folder = tmp_path / "models" / run.retriever.name / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden_size": 8}')
    assert search_costs(run, tflops=1.0, results=tmp_path)[0].flops > 0


def test_the_lines_name_the_dearest_sources_and_what_is_assumed():
    lines = format_search(search_costs(RUN, tflops=790.0), tflops=790.0).splitlines()
    assert len(lines) == 1 + search.SHOWN and "an assumption" in lines[0] and "msmarco" in lines[3]
    assert format_search([], tflops=1.0) == ""
