"""The report of a real toy run, and the workflow engine's own."""

from f2llm.records.tables import read_table


def test_the_report_of_a_finished_run_lacks_nothing_and_counts_add_up(finished):
    report = finished.folder / "results/report"
    text = (report / "index.html").read_text()
    assert "Missing:" not in text and str(finished.folder) not in text
    for row in read_table(report / "tables/funnel.parquet").to_pylist():
        left = [row[stage] for stage in ("normalised", "training", "exact", "near", "clean", "curated", "mined")]
        assert left == sorted(left, reverse=True) and left[-1] > 0, row
    assert {path.stem for path in (report / "figures").iterdir()} >= {"funnel", "loss", "throughput", "differences"}


def test_the_engine_s_report_has_captions_and_categories(copied):
    copied.run("--report", "engine.html")
    text = (copied.folder / "engine.html").read_text()
    assert "in the manner of F2LLM" in text  # what it says first
    for category in ("The run", "Figures", "Scores"):
        assert category in text
    for caption in ("what may be chance", "cosines of positives and hard negatives", "gain over the two"):
        assert caption in text, caption
    for name in ("index.html", "scores.csv", "funnel.svg", "map.svg"):
        assert name in text, name
