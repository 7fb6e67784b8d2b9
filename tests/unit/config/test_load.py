"""One wrong config says everything that is wrong with it, before anything runs."""

from pathlib import Path

import pytest
import yaml

from f2llm.config.load import load_run
from f2llm.records.errors import InputError
from f2llm.records.yaml_files import read_yaml

ROOT = Path(__file__).parents[3]
LICENCE = {"id": "CC0-1.0", "commercial": "yes"}
SOURCE = {
    "name": "toy", "task": "retrieval", "fetch": [{"kind": "local", "path": "toy.jsonl"}], "adapter": "pairs",
    "instruction": "Find it.", "licence": LICENCE, "reference": "made up", "group": "row",
}  # fmt: skip
MODEL = {
    "name": "tiny", "fetch": {"kind": "local", "path": "tiny"}, "format": "folder", "member": "", "pooling": "last",
    "append_eos": True, "licence": LICENCE, "reference": "made up",
}  # fmt: skip
RUN = {
    "run": "r", "sources": ["toy"], "backbone": "tiny", "retriever": "tiny", "benchmark": "bench",
    "mine": {"max_length": 8, "negatives": 1}, "tokens": {"query_max_length": 8, "passage_max_length": 8},
    "train": {"steps": 1, "batch_size": 2, "negatives": 1, "learning_rate": 0.1, "warmup_steps": 0},
    "evaluate": {"max_length": 8},
}  # fmt: skip
TASK = {"name": "Toy", "type": "retrieval", "source": "toy", "split": "test"}


@pytest.fixture
def folder(tmp_path):
    for kind, stanza in (("sources", SOURCE), ("models", MODEL), ("benchmarks", {"name": "bench", "tasks": [TASK]})):
        save(tmp_path, kind, stanza)
    return tmp_path


def save(folder: Path, kind: str, stanza: dict) -> None:
    (folder / kind).mkdir(exist_ok=True)
    (folder / kind / f"{stanza['name']}.yaml").write_text(yaml.safe_dump(stanza))


def faults(folder, **changes):
    with pytest.raises(InputError) as found:
        load_run(RUN | changes, folder=folder, where="config.yaml")
    return found.value.faults


def test_a_right_run_is_read_whole(folder):
    run = load_run(RUN, folder=folder, where="config.yaml")
    assert run.sources[0].licence.commercial == "yes"
    assert run.heldout_sources == ()
    assert run.curate.near.threshold == 0.8
    assert run.train.betas == (0.9, 0.98)


def with_licences(folder, policy):
    for name, commercial in (("free", "yes"), ("closed", "no"), ("unclear", "unknown")):
        save(folder, "sources", SOURCE | {"name": name, "licence": {"id": "MIT", "commercial": commercial}})
    content = RUN | {"sources": ["toy", "free", "closed", "unclear"], "licences": policy}
    return load_run(content, folder=folder, where="config.yaml")


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("any", ["toy", "free", "closed", "unclear"]),
        ("stated", ["toy", "free", "closed"]),
        ("commercial", ["toy", "free"]),
    ],
)
def test_a_licence_policy_keeps_sources_out_of_training_and_says_why(folder, policy, kept):
    run = with_licences(folder, policy)
    assert [source.name for source in run.sources] == kept
    assert [one.name for one in run.barred] == [name for name in ("closed", "unclear") if name not in kept]
    assert all("licence MIT, commercial use: " in one.reason for one in run.barred)


@pytest.mark.parametrize("licence", ["MIT", "BSD-3-Clause AND Unicode-3.0", "LicenseRef-Internal"])
def test_a_licence_id_is_an_spdx_expression_or_a_name_of_its_own(folder, licence):
    save(folder, "sources", SOURCE | {"licence": {"id": licence, "commercial": "yes"}})
    assert load_run(RUN, folder=folder, where="config.yaml").sources[0].licence.id == licence


@pytest.mark.parametrize("licence", ["CC-BY", "Apache 2.0", "free"])
def test_a_wrong_licence_id_is_refused(folder, licence):
    save(folder, "sources", SOURCE | {"licence": {"id": licence, "commercial": "yes"}})
    (fault,) = faults(folder)
    assert f"licence.id: {licence!r} is no licence that SPDX lists; write an SPDX expression (MIT" in fault


def test_a_policy_that_keeps_out_every_source_is_refused(folder):
    save(folder, "sources", SOURCE | {"licence": {"id": "MIT", "commercial": "no"}})
    assert "'commercial' keeps out all 1 sources" in faults(folder, licences="commercial")[0]


def test_a_source_that_is_kept_out_of_training_may_still_be_scored_on(folder):
    save(folder, "sources", SOURCE | {"licence": {"id": "MIT", "commercial": "no"}})
    save(folder, "sources", SOURCE | {"name": "free"})
    run = load_run(RUN | {"sources": ["toy", "free"], "licences": "commercial"}, folder=folder, where="config.yaml")
    assert [source.name for source in run.heldout_sources] == ["toy"]


def test_sources_that_are_only_scored_on_are_found(folder):
    save(folder, "sources", SOURCE | {"name": "unseen", "train": False})
    save(
        folder,
        "benchmarks",
        {"name": "bench", "tasks": [TASK, TASK | {"name": "Unseen", "source": "unseen", "split": "all"}]},
    )
    run = load_run(RUN, folder=folder, where="config.yaml")
    assert [source.name for source in run.heldout_sources] == ["unseen"]


def test_an_unknown_source_is_named_with_the_nearest(folder):
    (fault,) = faults(folder, sources=["toi"])
    assert "sources/toi.yaml: there is no such stanza" in fault
    assert "did you mean 'toy'?" in fault


def test_faults_of_config_and_stanzas_come_at_once(folder):
    save(folder, "models", MODEL | {"pooling": "first"})
    found = "\n".join(faults(folder, sources=["nowhere", "toy"], nonsense=1))
    assert "unknown key 'nonsense'" in found
    assert "models/tiny.yaml: pooling: 'first' is not one of" in found
    assert "nowhere.yaml" in found


def test_a_benchmark_source_is_never_trained_on(folder):
    save(folder, "sources", SOURCE | {"train": False})
    assert "must not be trained on" in faults(folder)[0]


def test_all_rows_of_a_trained_source_cannot_be_scored(folder):
    save(folder, "benchmarks", {"name": "bench", "tasks": [TASK | {"split": "all"}]})
    assert "takes all rows of 'toy', which is trained on" in faults(folder)[0]


def test_a_source_that_holds_nothing_out_has_no_test_rows_to_score(folder):
    save(folder, "sources", SOURCE | {"held_out": False})
    save(folder, "benchmarks", {"name": "bench", "tasks": [TASK | {"split": "test"}]})
    assert "takes the test rows of 'toy', which holds none out" in faults(folder)[0]


def test_published_tuples_are_found_for_a_comparison(folder):
    save(folder, "sources", SOURCE | {"name": "theirs", "ready": True, "held_out": False})
    run = load_run(RUN | {"compare": {"toy": "theirs"}}, folder=folder, where="config.yaml")
    assert [(pair.source, pair.released.name) for pair in run.compare] == [("toy", "theirs")]
    assert [source.name for source in run.stanzas] == ["toy", "theirs"]


def test_one_stanza_of_published_tuples_may_stand_for_all_sources(folder):
    save(folder, "sources", SOURCE | {"name": "second"})
    save(folder, "sources", SOURCE | {"name": "own", "ready": True, "held_out": False})
    place = {"kind": "hub", "repository": "a/b", "files": ["{source}.parquet"]}
    save(folder, "sources", SOURCE | {"name": "theirs", "ready": True, "held_out": False, "fetch": [place]})
    content = RUN | {"sources": ["toy", "second"], "compare": {"*": "theirs", "second": "own"}}
    run = load_run(content, folder=folder, where="config.yaml")
    assert {pair.source: pair.released.name for pair in run.compare} == {"toy": "theirs_toy", "second": "own"}
    assert run.compare[0].released.fetch[0].files == ("toy.parquet",)


def test_only_trained_sources_are_compared_and_only_with_ready_tuples(folder):
    save(folder, "sources", SOURCE | {"name": "theirs"})
    first, second = faults(folder, compare={"pears": "theirs"})
    assert "'pears' is not among `sources`" in first
    assert "'theirs' holds no ready tuples" in second


def test_a_task_must_fit_its_source(folder):
    save(folder, "benchmarks", {"name": "bench", "tasks": [TASK | {"type": "sts"}]})
    assert "is sts, its source 'toy' is retrieval" in faults(folder)[0]


def test_a_source_listed_twice_is_refused(folder):
    assert "'toy' is listed twice" in faults(folder, sources=["toy", "toy"])[0]


def test_a_stanza_must_bear_the_name_of_its_file(folder):
    (folder / "sources" / "toy.yaml").write_text(yaml.safe_dump(SOURCE | {"name": "other"}))
    assert "it must equal the file name 'toy'" in faults(folder)[0]


@pytest.mark.parametrize(
    ("length", "said"),
    [
        ({}, "neither steps nor epochs is given"),
        ({"steps": 2, "epochs": 1}, "both steps and epochs are given"),
        ({"steps": None, "epochs": None}, "neither steps nor epochs is given"),
    ],
)
def test_a_training_has_steps_or_epochs(folder, length, said):
    train = {key: value for key, value in RUN["train"].items() if key != "steps"}
    assert list(faults(folder, train=train | length)) == [f"config.yaml: train: {said}; give one of the two"]
    assert load_run(RUN | {"train": train | {"epochs": 2}}, folder=folder, where="c").train.steps is None


def test_terms_and_sizes_are_listed_once(folder):
    term, cut = {"term": "hard", "weight": 1.0}, {"dimensions": 8, "weight": 1.0}
    found = faults(folder, train=RUN["train"] | {"losses": [term, term], "matryoshka": [cut, cut]})
    assert list(found) == [
        "config.yaml: train.losses: hard is listed twice; list it once",
        "config.yaml: train.matryoshka: 8 is listed twice; list it once",
    ]


def test_sizes_that_vectors_are_cut_to_are_listed_once(folder):
    models = [{"model": "tiny", "dimensions": [8, 8]}]
    found = faults(folder, evaluate={"max_length": 8, "dimensions": [64, 32, 64], "models": models})
    assert list(found) == [
        "config.yaml: evaluate.dimensions: 64 is listed twice; list it once",
        "config.yaml: evaluate.models.0.dimensions: 8 is listed twice; list it once",
    ]


def test_vectors_cannot_be_cut_to_more_numbers_than_the_backbone_has(folder):
    geometry = dict.fromkeys(("layers", "intermediate", "heads", "kv_heads", "head_dim", "vocabulary"), 2)
    evaluate = {"max_length": 8, "dimensions": [16, 17]}
    assert load_run(RUN | {"evaluate": evaluate}, folder=folder, where="c").evaluate.dimensions == (16, 17)
    save(folder, "models", MODEL | {"geometry": geometry | {"hidden": 16}})
    assert list(faults(folder, evaluate=evaluate)) == [
        "config.yaml: evaluate.dimensions: 17 is more than the 16 numbers of a vector of 'tiny'; lower it or take it out"
    ]


def test_the_recorded_shape_of_a_backbone_bounds_them_too(monkeypatch):
    monkeypatch.chdir(ROOT)
    content = read_yaml("config/config.yaml")
    content["evaluate"]["dimensions"] = [100_000]
    with pytest.raises(InputError, match="evaluate.dimensions: 100000 is more than the 576 numbers"):
        load_run(content, folder="config", where="config.yaml")


def test_a_task_of_local_files_has_its_folder_when_it_is_read(folder, monkeypatch):
    monkeypatch.chdir(folder)
    task = {"name": "Own", "type": "sts", "data": "data/own", "instruction": "Do it."}
    save(folder, "benchmarks", {"name": "bench", "tasks": [TASK, task]})
    assert list(faults(folder)) == [
        f"config.yaml: benchmark task 'Own': data: there is no folder 'data/own' below {folder}; correct it"
    ]
    (folder / "data/own").mkdir(parents=True)
    assert len(load_run(RUN, folder=folder, where="config.yaml").benchmark.tasks) == 2


def test_an_unknown_term_of_the_loss_is_named_with_those_there_are(folder):
    (fault,) = faults(folder, train=RUN["train"] | {"losses": [{"term": "in-batch", "weight": 1.0}]})
    assert "train.losses.0.term: 'in-batch' is not one of 'hard', 'in_batch'" in fault


def test_lora_has_the_usual_targets(folder):
    run = load_run(RUN | {"train": RUN["train"] | {"lora": {"rank": 8, "alpha": 16}}}, folder=folder, where="c")
    assert run.train.lora.targets[0] == "q_proj"
    assert load_run(RUN, folder=folder, where="c").train.lora is None


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        ({"least_negatives": 3}, "mine.least_negatives: 3 is more than mine.negatives (2); lower it"),
        ({"window": 9, "positive_max_rank": 10}, "mine.positive_max_rank: 10 lies beyond mine.window (9)"),
        ({"window": 6}, "mine.window: 6 candidates cannot hold 7 of skip and negatives"),
    ],
)
def test_mining_settings_that_cannot_work_together_are_refused(folder, mine, said):
    (fault,) = faults(folder, mine={"max_length": 8, "negatives": 2} | mine)
    assert said in fault
    good = {"max_length": 8, "negatives": 2, "least_negatives": 2, "window": 7, "positive_max_rank": 7}
    assert load_run(RUN | {"mine": good}, folder=folder, where="c").mine.least == 2


def test_vectors_cannot_be_trained(folder):
    save(folder, "models", MODEL | {"name": "made", "format": "vectors"})
    assert "backbone: 'made' holds vectors, no weights" in faults(folder, backbone="made")[0]


def test_the_curation_of_a_source_is_that_of_the_run_but_for_what_its_stanza_says(folder):
    save(folder, "sources", SOURCE | {"curate": {"near": {"policy": "report"}, "across": {"policy": "drop"}}})
    run = load_run(RUN | {"curate": {"near": {"min_words": 30}, "memory_mb": 300}}, folder=folder, where="config")

    own = run.curation_of(run.sources[0])

    assert (own.near.policy, own.near.min_words, own.near.threshold) == ("report", 30, 0.8)
    assert (own.across.policy, own.decontaminate.policy, own.memory_mb) == ("drop", "drop", 300)
    assert run.curate.near.policy == "drop"


@pytest.mark.parametrize(
    ("of_run", "of_source", "said"),
    [
        ({"bands": 7}, {}, "config: curate.near: 7 bands do not divide 120 permutations"),
        ({"report_threshold": 0.9}, {}, "config: curate.near: report_threshold 0.9 is above threshold 0.8"),
        ({}, {"threshold": 0.6}, "sources/toy.yaml: curate.near: report_threshold 0.7 is above threshold 0.6"),
    ],
)
def test_thresholds_that_cannot_be_meant_are_refused(folder, of_run, of_source, said):
    save(folder, "sources", SOURCE | {"curate": {"near": of_source}})
    with pytest.raises(InputError, match=said):
        load_run(RUN | {"curate": {"near": of_run}}, folder=folder, where="config")


def test_an_unknown_policy_of_a_source_is_refused(folder):
    save(folder, "sources", SOURCE | {"curate": {"near": {"policy": "keep"}, "mining": {}}})
    with pytest.raises(InputError) as error:
        load_run(RUN, folder=folder, where="config")
    assert len(error.value.faults) == 2


def test_audits_are_read_with_their_defaults(folder):
    run = load_run(RUN | {"audit": {"mine": {"path": "data"}}}, folder=folder, where="config")
    assert (run.audit["mine"].path, run.audit["mine"].fields) == ("data", ())
    with pytest.raises(InputError, match="audit.mine: key 'path' is missing"):
        load_run(RUN | {"audit": {"mine": {"fields": ["a"]}}}, folder=folder, where="config")


def test_no_more_negatives_are_drawn_than_are_mined(folder):
    mine = RUN.get("mine", {}) | {"negatives": 2}
    (fault,) = faults(folder, train=RUN["train"] | {"negatives": 3}, mine=mine)
    assert fault == "config.yaml: train.negatives: 3 is more than mine.negatives (2); lower the one or raise the other"
    equal = RUN | {"train": RUN["train"] | {"negatives": 2}, "mine": mine}
    assert load_run(equal, folder=folder, where="c").train.negatives == 2


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(folder, number):
    found = faults(folder, train=RUN["train"] | {"learning_rate": number})
    assert f"config.yaml: train.learning_rate: {number} is no finite number; write another" in found


def test_a_value_that_the_schema_refuses_is_reported_once_and_hides_no_other_fault(folder):
    changes = {
        "train": RUN["train"] | {"steps": "many", "negatives": 2},
        "sources": ["toy", 7, 7],
        "evaluate": {"tier": "all"},
    }
    found = faults(folder, curate={"near": "no", "memory_mb": 1}, **changes)
    refused = ("curate.memory_mb: 1 is", "curate.near: 'no' is", "evaluate: key 'max_length'", "evaluate.tier: 'all' is",
               "sources.1: 7 is", "sources.2: 7 is", "train.steps: 'many' is")  # fmt: skip
    assert [
        fault.removeprefix("config.yaml: ").startswith(start) for fault, start in zip(found, refused, strict=False)
    ] == [True] * 7
    assert found[7:] == (
        "config.yaml: train.negatives: 2 is more than mine.negatives (1); lower the one or raise the other",
    )


def test_files_of_the_config_are_read_again_and_what_they_hide_is_said_instead_of_what_follows_from_it(folder):
    (folder / "c.yaml").write_text("seed: 1\nseed: 2\n")
    stanza = folder / "sources" / "toy.yaml"
    stanza.write_text(stanza.read_text() + "group: again\n")
    with pytest.raises(InputError) as refused:
        load_run({"run": "r", "sources": ["toy"]}, folder=folder, where="config", files=[folder / "c.yaml"])
    first, second = refused.value.faults
    assert first == f"{folder}/c.yaml: line 2: seed: stands here a second time, first in line 1; keep one of the two"
    assert second.startswith(f"{stanza}: line ")
    assert "group: stands here a second time" in second
