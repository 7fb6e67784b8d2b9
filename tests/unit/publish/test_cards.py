"""Cards and Croissant of a toy run: the hub's own classes and mlcroissant read them, and nothing of the machine is in them."""

import getpass
import json
import logging
import socket
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, ModelCard

from f2llm.config.benchmarks import MtebData, Task
from f2llm.config.build import build
from f2llm.config.check import load_schema, with_defaults
from f2llm.config.run import Energy
from f2llm.config.stanzas import filled
from f2llm.publish.cards import size_category, write_cards, write_submission_card
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_path, write_json
from f2llm.records.schemas.plan import PLAN
from f2llm.records.tables import read_table, write_table

TASKS = [
    filled(
        Task, name="Good", type="retrieval", source="toy",
        mteb=MtebData(repository="mteb/good", revision="f" * 40, splits=("test",), subsets=("default",), type="Retrieval", main_score="ndcg_at_10", texts=9),
    ),
    filled(Task, name="Worse", type="retrieval", source="toy"),
]  # fmt: skip

ENERGY = build(Energy, with_defaults({}, load_schema("config")["properties"]["energy"]))


def cards(scored, folder="cards", **changes):
    results, jobs = scored
    arguments = {
        "run": "toyrun",
        "tasks": TASKS,
        "heldout": [],
        "jobs": jobs,
        "energy": ENERGY,
        "folder": results / folder,
    } | changes
    write_cards(results, **arguments)
    return results / folder


def test_the_model_card_has_the_fields_that_the_hub_reads(scored):
    data = ModelCard.load(cards(scored) / "model_card.md").data
    assert (data.library_name, data.pipeline_tag, data.language) == (
        "sentence-transformers",
        "sentence-similarity",
        ["en"],
    )
    assert data.license == "cc0-1.0"
    assert data.model_name == "toyrun"
    good, worse = data.eval_results
    assert (good.dataset_type, good.dataset_revision, good.metric_type, good.metric_value) == (
        "mteb/good",
        "f" * 40,
        "ndcg_at_10",
        60.0,
    )
    assert (worse.dataset_type, worse.dataset_revision, worse.metric_value) == ("Worse", None, 40.0)


def test_the_model_card_repeats_that_of_training_and_adds_scores_statement_and_energy(scored):
    text = (cards(scored) / "model_card.md").read_text()
    assert "What the model is." in text
    assert "| Good | retrieval | ndcg_at_10 | in-domain | 60.00 | 20.00 | 30.00 | 60.00 |" in text
    assert "No better than the better pooling of its base: Worse." in text
    assert "1 tuples of a query, a positive and hard negatives, from 1 sources, and nothing else; 1 were mined." in text
    assert "| train_model | 1 | 0.0019 |" in text


def test_hub_data_sets_base_model_and_unclear_rights_are_in_the_metadata(scored):
    results, _ = scored
    run = read_json(results / "runs/toyrun/run.json")
    run["settings"]["backbone"]["fetch"] |= {"kind": "hub", "repository": "owner/base"}
    hub = {"kind": "hub", "repository": "owner/data", "repository_type": "dataset"}
    run["settings"]["sources"][0] |= {
        "fetch": [hub],
        "licence": {"id": "CC-BY-NC-4.0", "commercial": "no", "note": "a | b"},
    }
    write_json(results / "runs/toyrun/run.json", run)
    folder = cards(scored)
    model, data = ModelCard.load(folder / "model_card.md").data, DatasetCard.load(folder / "data_card.md").data
    assert (model.base_model, model.datasets, model.license, model.license_name) == (
        "owner/base", ["owner/data"], "other", "rights-of-sources-differ",
    )  # fmt: skip
    assert (data.license, data.source_datasets, data.size_categories) == ("cc-by-nc-4.0", ["owner/data"], "n<1K")
    assert "a / b" in (folder / "data_card.md").read_text()


def test_the_data_card_counts_rows_from_the_files_to_tuples(scored):
    text = (cards(scored) / "data_card.md").read_text()
    assert "| toy | – | 3 | 1 | – | 2 | 3 | 1 | 1 |" in text
    assert "Left out by the run's licence policy: news (licence CC-BY-NC-4.0, commercial use: no)." in text


def test_tuples_that_no_step_saw_are_mined_and_not_trained_on(scored):
    path = scored[0] / "runs/toyrun/plan.parquet"
    write_table(path, schema=PLAN, rows=[read_table(path).slice(0, 0)])
    folder = cards(scored)
    assert "0 tuples of a query, a positive and hard negatives, from 0 sources, and nothing else; 1 were mined." in (
        (folder / "model_card.md").read_text()
    )
    assert "| toy | – | 3 | 1 | – | 2 | 3 | 1 | 0 |" in (folder / "data_card.md").read_text()


def test_rows_as_fetched_and_the_cap_of_a_source_are_in_the_data_card(scored):
    results, jobs = scored
    run = read_json(results / "runs/toyrun/run.json")
    run["settings"]["sources"][0]["max_queries"] = 2
    write_json(results / "runs/toyrun/run.json", run)
    text = (cards((results, [*jobs, results / "read.json"])) / "data_card.md").read_text()
    assert "| toy | 5 | 3 | 1 | 2 | 2 | 3 | 1 | 1 |" in text


def test_evaluation_texts_that_were_reported_are_told_apart_from_those_dropped(scored):
    results, jobs = scored
    curated = read_json(jobs[0]) | {
        "rule": "curate_source", "counts": {"contaminated_passages": {"Good": 1, "Other (corpus)": 7}}
    }  # fmt: skip
    write_json(results / "curated.json", curated)
    text = (cards((results, [*jobs, results / "curated.json"])) / "model_card.md").read_text()
    assert "texts of 1 evaluation tasks were found and dropped (1 findings)" in text
    assert "texts of 2 tasks were found and reported, not dropped (8 findings, 7 of them equal to a passage" in text


def test_the_table_of_energy_has_a_row_a_job_and_its_sum_is_in_the_card(scored):
    folder = cards(
        scored, energy=Energy(watts_per_core=3600, watts_per_gb=0, watts_per_gpu=700, overhead=1, grams_per_kwh=1000)
    )
    rows = read_table(folder / "energy.parquet").to_pylist()
    assert {row["rule"]: row["kwh"] for row in rows} == pytest.approx(
        {"fetch_source": 0.0035, "mine_source": 0.0035, "train_model": 0.007}
    )
    assert "About 0.014 kWh and 14 g of CO2" in (folder / "model_card.md").read_text()


def test_mlcroissant_accepts_the_croissant_file_and_reads_a_tuple_through_it(scored):
    import mlcroissant

    logging.getLogger("absl").setLevel(logging.ERROR)
    path = cards(scored) / "croissant.json"
    dataset = mlcroissant.Dataset(jsonld=str(path))
    assert dataset.metadata.ctx.issues.errors == dataset.metadata.ctx.issues.warnings == set()
    assert dataset.metadata.license == ["https://spdx.org/licenses/CC0-1.0"]
    (record,) = dataset.records("toy-tuples")
    assert list(record["toy-tuples/negative_rows"]) == [1, 2]
    assert [row["toy-passages/text"] for row in dataset.records("toy-passages")]


def test_croissant_names_the_bytes_of_every_table(scored):
    folder = cards(scored)
    for file in read_json(folder / "croissant.json")["distribution"]:
        assert sha256_path(folder / file["contentUrl"]) == file["sha256"]


def test_cards_leave_the_model_folder_as_it_is(scored):
    results, _ = scored
    before = sha256_path(results / "runs/toyrun/model")
    cards(scored)
    assert sha256_path(results / "runs/toyrun/model") == before


def test_the_same_run_gives_the_same_bytes(scored):
    assert sha256_path(cards(scored, "a/cards")) == sha256_path(cards(scored, "b/cards"))


def test_nothing_of_the_machine_is_in_cards_or_croissant(scored, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    for path in cards(scored).iterdir():
        found = path.read_bytes()
        for secret in ("hf_secret", socket.gethostname(), str(Path.home()) + "/", str(scored[0])):
            assert secret.encode() not in found, path
        assert f'"{getpass.getuser()}"'.encode() not in found


def test_a_run_that_is_not_there_or_not_scored_is_refused_with_what_to_do(scored):
    results, _ = scored
    with pytest.raises(InputError, match="no run 'tiyrun'; runs here: toyrun"):
        cards(scored, run="tiyrun")
    board = read_json(results / "scores/scoreboard.json")
    write_json(results / "scores/scoreboard.json", board | {"run": "other"})
    with pytest.raises(InputError, match="scores of run 'other', not of 'toyrun'"):
        cards(scored)
    (results / "scores/scoreboard.json").unlink()
    with pytest.raises(InputError, match="has no scores yet; `snakemake --cores all evaluate`"):
        cards(scored)


@pytest.mark.parametrize(
    "missing", ["runs/toyrun/model/README.md", "mined/m-1/toy/tuples.parquet", "curated/c-1/toy/queries.parquet"]
)
def test_a_missing_table_is_named(scored, missing):
    (scored[0] / missing).unlink()
    with pytest.raises(InputError, match=missing):
        cards(scored)
    assert not (scored[0] / "cards/model_card.md").exists()


def test_json_of_croissant_has_no_path_of_this_machine(scored):
    for file in json.loads((cards(scored) / "croissant.json").read_text())["distribution"]:
        assert file["contentUrl"].startswith("../")


@pytest.mark.parametrize(("rows", "name"), [(999, "n<1K"), (1000, "1K<n<10K"), (10**7, "10M<n<100M")])
def test_size_categories_are_those_of_the_hub(rows, name):
    assert size_category(rows) == name


SUBMITTED = {
    "run": "own",
    "models": [{"model": "own"}, {"model": "base"}],
    "tasks": [
        {"task": "first", "metric": "cosine_spearman", "scores": {"own": 50.0, "base": 25.0}},
        {"task": "second", "metric": "max_ap", "scores": {"own": None, "base": 75.0}},
    ],
}


def submission_card(tmp_path):
    write_json(tmp_path / "scoreboard.json", SUBMITTED)
    tasks = [filled(Task, name="first", type="sts"), filled(Task, name="second", type="pairs")]
    write_submission_card(
        tmp_path / "scoreboard.json", tasks=tasks, model=tmp_path / "model", folder=tmp_path / "submission"
    )
    return ModelCard.load(tmp_path / "submission/README.md")


def test_the_card_of_a_submission_keeps_what_it_said_and_gets_the_scores_of_the_run_as_metadata(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/README.md").write_text("---\nlicense: mit\ntags: [mine]\n---\n\n# Own\n\nIts text.\n")
    card = submission_card(tmp_path)
    assert (card.data.license, card.data.tags, card.data.model_name) == ("mit", ["mine", "mteb"], "own")
    (only,) = card.data.eval_results
    assert (only.task_type, only.metric_type, only.metric_value) == ("STS", "cosine_spearman", 50.0)
    assert "Its text.\n\n## Scores" in card.text
    assert "| first | cosine_spearman | 50.00 | 25.00 |" in card.text
    assert "| second | max_ap |  | 75.00 |" in card.text


def test_a_model_without_a_card_gets_one_in_its_submission(tmp_path):
    assert submission_card(tmp_path).data.model_name == "own"


def test_queries_that_equal_one_for_evaluation_are_not_counted_as_held_out_in_the_data_card(scored):
    path = scored[0] / "curated/c-1/toy/removed.parquet"
    table = read_table(path)
    equal = [row | {"role": "query", "stage": "split"} for row in table.to_pylist()]
    write_table(path, schema=table.schema, rows=[table.from_pylist(equal, table.schema)])
    assert "| toy | – | 3 | 1 | – | 2 | 3 | 1 | 1 |" in (cards(scored) / "data_card.md").read_text()


def test_both_cards_name_what_the_run_went_on_without(scored):
    path = scored[0] / "runs/toyrun/run.json"
    content = read_json(path) | {"left_out": {"toy": "HTTP 404 | gone"}}
    content["settings"]["sources"][0]["expected"]["queries"] = 12
    write_json(path, content)
    folder = cards(scored)
    said = "1 of 1 sources was skipped: toy; 100.0% of the queries that the stanzas state are missing."
    for name in ("model_card.md", "data_card.md"):
        assert said in (folder / name).read_text()
    assert "The run went on without these sources:\n\n- toy: HTTP 404 / gone\n" in (folder / "data_card.md").read_text()
