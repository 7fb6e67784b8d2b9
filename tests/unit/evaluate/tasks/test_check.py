"""Data of a task of mteb: read by mteb itself, compared with the statistics that it ships."""

import json

import pytest

from f2llm.config.benchmarks import MtebData, Task
from f2llm.config.stanzas import filled
from f2llm.evaluate.tasks.check import check_task, refuse
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.tables import read_table

STS17 = MtebData(
    repository="mteb/sts17-crosslingual-sts", revision="f" * 40, splits=("test",), subsets=("en-en",), type="STS",
    main_score="cosine_spearman", texts=250,
)  # fmt: skip


def task(check, **changes):
    return filled(Task, name="STS17", type="sts", instruction="Do it.", batch="", mteb=STS17, check=check, **changes)


@pytest.fixture
def run(tmp_path):
    """Check a data set of so many pairs; return the verdict and the texts."""

    def check(made, *, rows=12, lang="en-en"):
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        front = "configs:\n- config_name: default\n  data_files:\n  - {split: test, path: test.jsonl}"
        (data / "README.md").write_text(f"---\n{front}\n---\n")
        pairs = [{"sentence1": f"a {n}", "sentence2": f"b {n}", "score": n % 5, "lang": lang} for n in range(rows)]
        (data / "test.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
        write_json(tmp_path / "manifest.json", {"files": []})
        check_task(
            made, data=data, manifest=tmp_path / "manifest.json", checked=tmp_path / "checked.json",
            texts=tmp_path / "texts.parquet", scratch=tmp_path / "scratch",
        )  # fmt: skip
        return read_json(tmp_path / "checked.json"), read_table(tmp_path / "texts.parquet").to_pylist()

    return check


def test_other_numbers_of_rows_are_refused_with_both_counts(run, tmp_path):
    with pytest.raises(InputError, match=r"STS17.*num_samples: 12 here, 250 in mteb"):
        run(task("counts"))
    assert not (tmp_path / "checked.json").exists()


def test_texts_that_mteb_reads_are_listed(run):
    verdict, texts = run(task("off"))
    assert verdict["texts"] == 24
    assert {(row["task"], row["split"], row["field"]) for row in texts} == {("STS17", "test", "text")}


def test_a_missing_subset_is_refused(run):
    with pytest.raises(InputError, match="STS17"):
        run(task("counts"), lang="de-de")


def test_other_texts_are_a_warning_or_an_error_as_the_stanza_says(caplog):
    found = [{"where": "test characters", "expected": 5, "found": 6, "of_texts": True}]
    refuse(task("counts"), found)
    assert "test characters: 6 here, 5 in mteb's statistics" in caplog.text
    with pytest.raises(InputError, match="test characters"):
        refuse(task("strict"), found)
