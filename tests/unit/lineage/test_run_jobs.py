from f2llm.lineage.layout import read_layout
from f2llm.lineage.run_jobs import jobs_of
from f2llm.records.files import write_json

OWN = ("fetch_source/toy", "curate_source/c-1/toy", "mine_source/m-1/toy", "train_model/toyrun", "build_scoreboard")
OTHERS = (
    "curate_source/c-2/toy",
    "mine_source/m-9/toy",
    "train_model/other",
    "check_splits/embedded-07a04ed5",
    "build_report/toyrun",
)


def test_manifests_of_the_run_and_of_what_it_shares_are_taken_and_no_other(results):
    write_json(results / "runs/other/run.json", {})
    for name in OWN + OTHERS:
        write_json(results / f"lineage/jobs/{name}.json", {})
    found = jobs_of(read_layout(results, run="toyrun"))
    root = results / "lineage/jobs"
    assert found == sorted(str(root / f"{name}.json") for name in OWN)
