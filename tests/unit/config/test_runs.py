"""Several runs in one workflow: which of them a job works for, and what it is told and reads."""

import dataclasses
from pathlib import Path

import pytest

from f2llm.config.build import plain
from f2llm.config.load import load_run_file
from f2llm.config.runs import Runs

RUN = load_run_file(Path(__file__).parents[3] / "config" / "config.yaml")
LAST = RUN.sources[-1].name


def changed(name, **sections):
    """A run that differs from the config's own in some settings."""
    replaced = {
        section: dataclasses.replace(getattr(RUN, section), **settings) if isinstance(settings, dict) else settings
        for section, settings in sections.items()
    }
    return dataclasses.replace(RUN, run=name, **replaced)


FEWER_NEGATIVES = changed("few", mine={"negatives": 2})
OTHER_SEED_OF_TRAINING = changed("long", train={"steps": 70})
WITHOUT_LAST = changed("without", sources=RUN.sources[:-1])


@pytest.fixture(scope="module")
def runs():
    return Runs((RUN, FEWER_NEGATIVES, OTHER_SEED_OF_TRAINING, WITHOUT_LAST))


def job(runs, run, *keys, **others):
    """The wildcards of a job of one run."""
    return {key: runs.keys[run][key] for key in keys} | others


def test_a_job_that_runs_share_works_for_the_first_of_them(runs):
    assert runs.of(job(runs, "few", "curation", source=LAST)) is RUN
    assert runs.of(job(runs, "long", "mining", source=LAST)) is RUN


def test_a_job_of_a_key_that_one_run_alone_has_works_for_that_run(runs):
    assert runs.of(job(runs, "few", "mining", source=LAST)) is FEWER_NEGATIVES
    assert runs.of({"run": "long"}) is OTHER_SEED_OF_TRAINING


def test_a_job_on_a_source_works_for_a_run_that_has_the_source():
    runs = Runs((WITHOUT_LAST, RUN))
    assert runs.of({"source": LAST}) is RUN
    assert runs.of({"source": RUN.sources[0].name}) is WITHOUT_LAST


def test_wildcards_that_no_run_has_in_its_paths_decide_nothing(runs):
    assert runs.of({"part": "3", "parts": "8", "task": "ToyPairs"}) is RUN


def test_a_job_of_no_run_is_refused_by_what_it_asks_for(runs):
    with pytest.raises(LookupError, match="no run has mining all-0, source news"):
        runs.of({"mining": "all-0", "source": "news"})


def test_the_keys_of_runs_differ_where_their_tables_do(runs):
    differ = {key for key, value in runs.keys["few"].items() if value != runs.keys[RUN.run][key]}
    assert differ == {"run", "mining"}
    assert runs.in_use("mining") == sorted({runs.keys[RUN.run]["mining"], runs.keys["few"]["mining"]})
    assert runs.in_use("run") == sorted([RUN.run, "few", "long", "without"])


def test_a_setting_that_runs_differ_in_is_that_of_the_job(runs):
    negatives = runs.setting("mine.negatives")
    assert negatives(job(runs, "few", "mining")) == 2
    assert negatives(job(runs, "long", "mining")) == RUN.mine.negatives


def test_a_setting_that_all_runs_agree_on_is_no_function(runs):
    assert runs.setting("mine.max_length") == RUN.mine.max_length
    assert runs.setting("tokens") == plain(RUN.tokens)


def test_text_stays_a_function_since_its_braces_are_no_wildcards(runs):
    assert runs.setting("backbone.query_prompt")({"run": "few"}) == RUN.backbone.query_prompt
    assert runs.setting("curate.decontaminate.texts")({"run": "few"}) == list(RUN.curate.decontaminate.texts)


def test_a_file_that_runs_share_is_a_path_with_the_other_wildcards_left_in_it(runs):
    path = "results/curated/{curation}/{source}/{part}.parquet"
    assert runs.upstream(path) == f"results/curated/{runs.keys[RUN.run]['curation']}/{{source}}/{{part}}.parquet"


def test_a_file_that_runs_have_each_for_themselves_is_that_of_the_job(runs):
    tuples = runs.upstream("results/mined/{mining}/{source}/tuples.parquet")
    for run in ("few", "long"):
        file = tuples({"run": run, "source": "news"})
        assert file == f"results/mined/{runs.keys[run]['mining']}/news/tuples.parquet"


def test_files_of_each_source_are_those_of_the_jobs_run_in_the_order_of_its_config(runs):
    files = runs.of_each_source("{mining}/{source}/a", "{run}/{source}/b")
    found = files({"run": "without"})
    assert found[:2] == [
        f"{runs.keys['without']['mining']}/{RUN.sources[0].name}/a",
        f"without/{RUN.sources[0].name}/b",
    ]
    assert len(found) == 2 * (len(RUN.sources) - 1)
    assert not [file for file in found if f"/{LAST}/" in file]


def test_sources_and_models_of_all_runs_are_there_by_name(runs):
    assert list(Runs((WITHOUT_LAST, RUN)).sources) == [
        *(source.name for source in (*WITHOUT_LAST.sources, *RUN.heldout_sources)),
        LAST,
    ]
    assert set(runs.stanzas) == {source.name for source in RUN.stanzas}
    assert set(runs.models) == {RUN.backbone.name, RUN.retriever.name, *(model.name for model in RUN.scored_models)}
