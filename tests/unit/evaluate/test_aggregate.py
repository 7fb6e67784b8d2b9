import json

import pytest

from f2llm.config.benchmarks import MtebData, Task
from f2llm.config.stanzas import filled
from f2llm.evaluate.aggregate import borda, leaderboard_means, task_score, whole_scores
from f2llm.evaluate.published import published_files, published_scores
from f2llm.records.errors import InputError


def mteb_task(name, subsets=("default",), kind="STS", part_of=""):
    data = MtebData(
        repository="mteb/x",
        revision="0" * 40,
        splits=("test",),
        subsets=subsets,
        type=kind,
        main_score="m",
        texts=1,
        part_of=part_of,
    )
    return filled(Task, name=name, type="sts", mteb=data, batch="")


def result(*cells, version="2.0.0"):
    rows = [{"hf_subset": subset, "main_score": score} for subset, score in cells]
    return {"mteb_version": version, "scores": {"test": rows}}


def test_a_task_is_the_mean_of_its_subsets_and_null_without_one():
    found = result(("en", 0.2), ("de", 0.6), ("fr", 0.9))
    assert task_score(found, splits=["test"], subsets=["en", "de"]) == pytest.approx(0.4)
    assert task_score(found, splits=["test"], subsets=["en", "es"]) is None
    assert task_score(found, splits=["test", "dev"], subsets=["en"]) is None
    assert task_score({"scores": {}}, splits=["test"], subsets=["en"]) is None


def test_parts_of_one_task_count_as_one_with_their_mean():
    parts = [mteb_task(name, part_of="Whole") for name in ("P", "Q")]
    tasks = [mteb_task("A"), *parts]
    assert whole_scores({"A": 0.9, "P": 0.2, "Q": 0.4}, tasks) == {"A": 0.9, "Whole": pytest.approx(0.3)}
    assert whole_scores({"A": 0.9, "P": 0.2}, tasks) == {"A": 0.9, "Whole": None}


def test_nulls_reach_the_means_that_they_belong_to_and_no_other():
    types = {"A": "STS", "B": "STS", "C": "Retrieval"}
    assert leaderboard_means({"A": 0.2, "B": 0.4, "C": 0.9}, types) == (
        pytest.approx(0.5), pytest.approx(0.6), {"Retrieval": 0.9, "STS": pytest.approx(0.3)},
    )  # fmt: skip
    found = leaderboard_means({"A": 0.2, "C": 0.9}, types)
    assert found == (None, None, {"Retrieval": 0.9, "STS": None})


def test_borda_gives_points_by_average_rank_and_leaves_out_who_lacks_a_score():
    scores = {"x": {"A": 0.9, "B": 0.1}, "y": {"A": 0.5, "B": 0.1}, "z": {"A": 0.1, "B": 0.5}, "w": {"A": 1.0}}
    # Task A: ranks 1, 2, 3. Task B: z first, x and y share ranks 2 and 3.
    assert borda(scores, ["A", "B"]) == {"x": (1, 2.5), "y": (3, 1.5), "z": (2, 2.0)}


def write(folder, revision, task, content):
    path = folder / "org__model" / revision / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_results_in_two_revision_folders_are_joined_and_a_real_revision_comes_first(tmp_path):
    write(tmp_path, "a" * 40, "A", result(("default", 0.1)))
    write(tmp_path, "external", "A", result(("default", 0.9), version=None))
    write(tmp_path, "external", "B", result(("default", 0.5), version=None))
    write(tmp_path, "a" * 40, "model_meta", {"name": "org/model"})
    tasks = [mteb_task("A"), mteb_task("B"), mteb_task("C")]
    assert published_scores(tmp_path, tasks) == {"org/model": {"A": 0.1, "B": 0.5, "C": None}}


# Folders of an unknown model: where the newest version is has to be looked up task by task.
REVISIONS = {
    "a" * 40: {
        "STS12": ("2.9.0", 0.1),
        "STS13": ("2.9.0", 0.2),
        "STS14": ("2.10.0.dev0", 0.3),
        "STS15": ("2.0.0", 0.4),
    },
    "b" * 40: {"STS12": ("2.10.0", 0.5), "STS14": ("2.10.0", 0.6), "STS15": ("unknown", 0.7)},
    "external": {"STS13": ("2.20.0", 0.8), "STS16": ("2.9.0", 0.85)},
    "no_revision_available": {"STS15": ("2.20.0", 0.9), "STS16": ("2.10.0", 0.95)},
}


def test_results_in_several_revision_folders_are_joined_as_mteb_joins_them(tmp_path):
    import mteb

    for revision, tasks in REVISIONS.items():
        for name, (version, score) in tasks.items():
            cell = {"hf_subset": "default", "main_score": score, "languages": ["eng-Latn"]}
            write(tmp_path / "results", revision, name,
                  {"task_name": name, "dataset_revision": "r", "evaluation_time": 1.0, "mteb_version": version,
                   "scores": {"test": [cell]}})  # fmt: skip
    theirs = mteb.ResultCache(tmp_path).load_results(require_model_meta=False).join_revisions()
    scores = {one.task_name: one.scores["test"][0]["main_score"] for model in theirs for one in model.task_results}
    assert scores == {"STS12": 0.5, "STS13": 0.2, "STS14": 0.6, "STS15": 0.4, "STS16": 0.95}
    assert published_scores(tmp_path, [mteb_task(name) for name in scores]) == {"org/model": scores}


def test_a_file_of_before_mteb_1_11_is_read(tmp_path):
    old = {"mteb_dataset_name": "STS12", "mteb_version": "1.1.1", "dataset_revision": "r"}
    write(tmp_path, "a" * 40, "STS12", old | {"test": {"cos_sim": {"pearson": 0.1, "spearman": 0.7}}})
    assert published_scores(tmp_path, [mteb_task("STS12")]) == {"org/model": {"STS12": 0.7}}


def test_a_score_that_is_not_a_number_is_missing(tmp_path):
    write(tmp_path, "a" * 40, "A", result(("default", float("nan"))))
    assert published_scores(tmp_path, [mteb_task("A")]) == {"org/model": {"A": None}}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"no": "scores"}, "it has no `scores` by split"),
        ({"scores": [1]}, "it has no `scores` by split"),
        ([1], "it has no `scores` by split"),
        ({"scores": {"test": {"default": 1}}}, "split 'test' is no list of scores"),
        ({"scores": {"test": [{"main_score": 0.5}]}}, "split 'test': a score has no `hf_subset`"),
        (result(("default", "0.5")), "split 'test', subset 'default': `main_score` is '0.5', no number"),
        ({"mteb_dataset_name": "A", "test": 1}, "TypeError"),
    ],
)
def test_a_file_that_is_no_result_is_named_with_what_is_wrong(tmp_path, content, what):
    write(tmp_path, "a" * 40, "A", content)
    with pytest.raises(InputError) as caught:
        published_scores(tmp_path, [mteb_task("A")])
    (fault,) = caught.value.faults
    assert "A.json: " in fault
    assert fault.endswith(f"({what}); delete it or fetch it again")


def test_all_files_that_are_no_results_are_named_at_once(tmp_path):
    for model, task in (("one", "A"), ("one", "B"), ("two", "A")):
        path = tmp_path / f"org__{model}" / "r" / f"{task}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"scores": ')
    with pytest.raises(InputError) as caught:
        published_scores(tmp_path, [mteb_task("A"), mteb_task("B")])
    assert len(caught.value.faults) == 3


def test_the_files_of_a_leaderboard_are_those_of_the_tasks(tmp_path):
    for task in ("A", "B", "model_meta"):
        write(tmp_path / "results", "r", task, {})
    assert published_files(tmp_path, ["A", "C"]) == [tmp_path / "results/org__model/r/A.json"]
    assert published_files(tmp_path / "none", ["A"]) == []


@pytest.mark.parametrize("there", ["", "org__model/r", "none"])
def test_a_folder_without_models_is_refused(tmp_path, there):
    (tmp_path / "board" / there).mkdir(parents=True)
    with pytest.raises(InputError, match="board: holds no model"):
        published_scores(tmp_path / "board", [])
