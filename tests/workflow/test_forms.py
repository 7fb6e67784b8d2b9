"""Cards, Croissant and crate of a whole run: made by the workflow, valid, without a word of the machine."""

import getpass
import importlib.util
import logging
import socket
from pathlib import Path

from huggingface_hub import DatasetCard, ModelCard

from f2llm.records.files import read_json, sha256_path
from f2llm.records.tables import count_rows, read_table

RULES = Path(__file__).parents[1] / "unit/publish/crate_rules.py"
SPEC = importlib.util.spec_from_file_location("crate_rules", RULES)
crate_rules = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(crate_rules)


def test_the_crate_of_a_run_keeps_every_must_and_holds_every_job(finished):
    crate = finished.folder / "results/lineage/ro-crate"
    assert crate_rules.faults(crate) == []
    kept = {str(path.relative_to(crate / "jobs")) for path in (crate / "jobs").rglob("*.json")}
    jobs = finished.folder / "results/lineage/jobs"
    made = {str(path.relative_to(jobs)) for path in jobs.rglob("*.json")}
    assert made - kept == {
        f"{rule}/toy.json" for rule in ("build_report", "check_gate", "compare_estimate", "estimate_run", "write_crate")
    }


def test_the_hub_s_classes_read_the_cards(finished):
    cards = finished.folder / "results/cards/toy"
    model, data = ModelCard.load(cards / "model_card.md").data, DatasetCard.load(cards / "data_card.md").data
    assert {result.dataset_name for result in model.eval_results} == set(
        path.stem for path in (finished.folder / "results/scores/toy").glob("*.json")
    )
    assert (model.license, data.license) == ("cc0-1.0", "cc0-1.0")


def test_mlcroissant_reads_every_record_set(finished):
    import mlcroissant

    logging.getLogger("absl").setLevel(logging.ERROR)
    dataset = mlcroissant.Dataset(jsonld=str(finished.folder / "results/cards/toy/croissant.json"))
    run = read_json(finished.folder / "results/runs/toy/run.json")
    sets = {
        f"{source['name']}-{kind}": finished.folder / path
        for source in run["sources"]
        for kind, path in {
            "tuples": source["tuples"],
            "queries": f"results/curated/{run['variants']['curated']}/{source['name']}/queries.parquet",
            "passages": f"results/curated/{run['variants']['curated']}/{source['name']}/corpus.parquet",
        }.items()
    }
    assert {records.id for records in dataset.metadata.record_sets} == set(sets)
    for name, path in sets.items():
        assert len(list(dataset.records(name))) == count_rows(path), name


def test_every_table_of_a_run_opens_in_pandas_duckdb_and_datasets(finished, tmp_path):
    import duckdb
    import pandas
    from datasets import Dataset

    tables = sorted((finished.folder / "results").rglob("*.parquet"))
    assert len(tables) > 40
    for path in tables:
        rows = count_rows(path)
        assert len(pandas.read_parquet(path)) == rows, path
        assert duckdb.connect(":memory:").execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall() or not rows
        if rows:  # datasets makes no split of an empty file
            assert len(Dataset.from_parquet(str(path), cache_dir=str(tmp_path)).to_pandas()) == rows, path


def test_the_table_of_energy_has_all_jobs(finished):
    table = read_table(finished.folder / "results/cards/toy/energy.parquet").to_pylist()
    assert "train_model" in {row["rule"] for row in table}
    assert all(row["kwh"] > 0 for row in table)


def test_another_grid_re_runs_the_cards_alone(copied):
    model = sha256_path(copied.folder / "results/runs/toy/model")
    copied.configure(energy={"grams_per_kwh": 50})
    assert set(copied.planned()) == {"write_cards", "write_crate", "all"}
    copied.run("forms")
    assert "| 50 g/kWh |" in (copied.folder / "results/cards/toy/model_card.md").read_text()
    assert sha256_path(copied.folder / "results/runs/toy/model") == model
    assert copied.planned() == {}


def test_nothing_of_the_machine_is_in_what_is_given_away(finished):
    results = finished.folder / "results"
    for path in [path for top in ("cards", "lineage") for path in (results / top).rglob("*") if path.is_file()]:
        found = path.read_bytes()
        for secret in (socket.gethostname(), str(finished.folder), str(Path.home()) + "/", f'"{getpass.getuser()}"'):
            assert secret.encode() not in found or path.suffix == ".py", (path, secret)
