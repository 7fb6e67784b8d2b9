"""Mining by several jobs a source, with vectors made elsewhere, and asked for what is not there."""

import yaml

from f2llm.records.files import read_json, sha256_file
from f2llm.records.tables import read_table


def mined(toy):
    return {path.parent.name: path for path in (toy.folder / "results/mined").glob("*/*/tuples.parquet")}


def change(toy, kind, name, **changes):
    path = toy.folder / "config" / kind / f"{name}.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def test_a_large_source_is_shared_by_several_jobs_with_the_same_tables(finished, copied):
    change(copied, "sources", "toy_pairs", expected={"queries": 2500, "passages": 500})
    mine = yaml.safe_load((copied.folder / "config/config.yaml").read_text())["mine"]
    copied.configure(mine=mine | {"texts_per_job": 1000, "queries_per_job": 1000})
    planned = copied.planned()
    assert (planned["embed_part"], planned["mine_part"], planned["mine_source"]) == (3, 3, 3)
    before = sha256_file(mined(copied)["toy_pairs"])
    copied.run("mine")
    assert sha256_file(mined(copied)["toy_pairs"]) == before == sha256_file(mined(finished)["toy_pairs"])
    assert not list((copied.folder / "results/mined").glob("*/toy_pairs/part-*"))
    manifests = list((copied.folder / "results/lineage/jobs/mine_part").rglob("*.json"))
    assert sum(read_json(path)["counts"]["queries"] for path in manifests) == len(
        read_table(next((copied.folder / "results/curated").glob("*/toy_pairs/queries.parquet")), columns=["query_id"])
    )


def test_a_device_that_is_not_there_stops_the_run_with_one_screen(copied):
    mine = yaml.safe_load((copied.folder / "config/config.yaml").read_text())["mine"]
    copied.configure(mine=mine | {"device": "cuda"})
    done = copied.run("mine", check=False)
    assert done.returncode != 0
    assert "mine.device: cuda is asked for, torch sees no CUDA device on this machine" in done.stdout + done.stderr
