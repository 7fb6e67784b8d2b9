import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.lineage.trace.question import Question, answer, as_json, as_text, write_parquet
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_path, write_json
from f2llm.records.ids import doc_id, query_id, tuple_id

QUERY = query_id("retrieval", "what is asked?")
POSITIVE, NEGATIVE, COPY = doc_id("The <script>alert(1)</script> answer"), doc_id("A third passage"), doc_id("A copy")
TUPLE = tuple_id("toy", QUERY, POSITIVE)


def ask(results, most=20, run="toyrun", **question):
    return answer(results, Question(**question), run=run, most=most)


def test_a_query_leads_to_its_tuples_and_steps(results):
    (found,) = ask(results, id=QUERY.hex())
    assert found.kind == "text"
    assert [(use.tuple_id, use.part, use.steps) for use in found.finding.uses] == [(TUPLE.hex(), "query", [0, 1])]
    assert found.finding.seen.steps == 2


def test_a_negative_is_seen_only_where_the_plan_drew_it(results):
    (found,) = ask(results, id=NEGATIVE.hex())
    assert [(use.part, use.steps) for use in found.finding.uses] == [("mined", [1])]
    assert (found.finding.seen.first, found.finding.seen.last) == (1, 1)


def test_a_removed_text_says_why_and_what_stands_in_for_it(results):
    (found,) = ask(results, id=COPY.hex())
    assert found.finding.removed[0][:3] == ("near", "a copy", doc_id("Another answer").hex())
    assert found.finding.seen.steps == 0
    assert "  removed in near: a copy; " + doc_id("Another answer").hex() in as_text([found])


def test_a_row_of_a_file_leads_to_all_its_texts(results):
    found = ask(results, row="toy.jsonl:7")
    assert [(one.finding.role, one.finding.id) for one in found] == [
        ("query", QUERY.hex()),
        ("passage", POSITIVE.hex()),
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("toy.jsonl:8", "end at 7"),
        ("toi.jsonl:7", "nearest files: toy.jsonl"),
        ("toy.jsonl", "FILE:ROW"),
        ("toy.jsonl:²", "FILE:ROW"),
    ],
)
def test_a_row_that_gave_no_text_is_refused_with_what_there_is(results, row, said):
    with pytest.raises(InputError, match=said):
        ask(results, row=row)


def test_a_text_is_found_to_the_letter_and_otherwise_nearly(results):
    assert ask(results, text="what is asked?")[0].finding.id == QUERY.hex()
    with pytest.raises(InputError, match="--like"):
        ask(results, text="what is askd?")
    assert ask(results, like="what is askd?")[0].finding.id == QUERY.hex()
    with pytest.raises(InputError, match="no text like"):
        ask(results, like="xylophone zebra")


def test_the_index_of_texts_is_made_anew_when_a_table_changes(results):
    ask(results, like="what is askd?")
    (first,) = (results / "lineage/index").glob("*.parquet")
    table = results / "sources/toy/queries.parquet"
    table.touch()
    ask(results, like="what is askd?")
    (second,) = (results / "lineage/index").glob("*.parquet")
    assert first.name != second.name


@pytest.mark.parametrize("licence", ["CC0-1.0", "cc0"])
def test_a_licence_leads_to_its_sources(results, licence):
    (found,) = ask(results, licence=licence)
    assert (found.finding.source, found.finding.tuples, found.finding.planned) == ("toy", 1, 2)


def test_unknown_licences_and_sources_are_answered_with_those_there_are(results):
    with pytest.raises(InputError, match=r"there are: CC0-1\.0"):
        ask(results, licence="MIT")
    with pytest.raises(InputError, match="nearest: toy"):
        ask(results, source="toi")


def test_a_step_shows_its_batch(results):
    (found,) = ask(results, step=1)
    assert (found.finding.tuple_id, found.finding.query) == (TUPLE.hex(), "what is asked?")
    with pytest.raises(InputError, match="from 0 to 1"):
        ask(results, step=2)


def with_model(results):
    write_json(results / "runs/toyrun/model/f2llm.json", {"digests": {"plan": "p" * 64}})
    write_json(
        results / "runs/toyrun/run.json", read_json(results / "runs/toyrun/run.json") | {"plan_sha256": "p" * 64}
    )
    job = {
        "rule": "train_model", "inputs": {"results/runs/toyrun/plan.parquet": "a"}, "outputs": {"results/runs/toyrun/model": "b"},
        "params": {}, "code": "c0de", "wildcards": {}, "versions": {}, "counts": {}, "seconds": 1.0,
    }  # fmt: skip
    write_json(results / "lineage/jobs/train_model/toyrun.json", job)
    write_json(results / "lineage/jobs/foreign.json", ["not ours"])
    scores = {"scores": {"test": [{"hf_subset": "a", "main_score": 0.25}, {"hf_subset": "b", "main_score": 0.75}]}}
    write_json(results / "scores/toyrun/Good.json", scores)
    (results / "runs/toyrun/checkpoints/abc/step_000001").mkdir(parents=True)
    (results / "runs/toyrun/checkpoints/abc/step_000002").mkdir(parents=True)
    (results / "runs/toyrun/checkpoints/abc/notes").mkdir(parents=True)


def test_a_model_leads_to_its_run_and_sources_even_as_a_copy(results, tmp_path):
    with_model(results)
    (results / "runs/toyrun/model").rename(tmp_path / "copied")
    (found,) = ask(results, model=str(tmp_path / "copied"))
    assert (found.run, found.finding.sources, found.finding.steps) == ("toyrun", [("toy", "CC0-1.0", 2)], 2)
    assert [job.rule for job in found.finding.jobs] == ["train_model"]
    with pytest.raises(InputError, match="no model that this project trained"):
        ask(results, model=str(tmp_path))


def with_twin(results, *, learning_rate):
    """Two runs of one plan, each with its model: a twin of the toy run that comes before it by name."""
    with_model(results)
    run = read_json(results / "runs/toyrun/run.json")
    for name, rate in (("a_twin", learning_rate), ("toyrun", 0.1)):
        run["settings"]["train"]["learning_rate"] = rate
        write_json(results / f"runs/{name}/run.json", run)
        digests = {"plan": "p" * 64, "train.learning_rate": rate, "train.precision": "bfloat16"}
        write_json(results / f"runs/{name}/model/f2llm.json", {"run": name, "digests": digests})
    (results / "runs/a_twin/plan.parquet").write_bytes((results / "runs/toyrun/plan.parquet").read_bytes())


def test_of_two_runs_with_one_plan_a_model_leads_to_the_one_that_trained_it(results, tmp_path):
    with_twin(results, learning_rate=0.2)
    (results / "runs/toyrun/model").rename(tmp_path / "copied")
    assert ask(results, model=str(tmp_path / "copied"))[0].run == "toyrun"
    assert ask(results, model=str(results / "runs/a_twin/model"))[0].run == "a_twin"


def test_twins_in_all_that_decides_the_weights_are_told_apart_by_their_bytes(results, tmp_path):
    with_twin(results, learning_rate=0.1)
    (results / "runs/a_twin/model/weights").write_text("other bits")
    job = read_json(results / "lineage/jobs/train_model/toyrun.json")
    sums = {name: sha256_path(results / f"runs/{name}/model") for name in ("a_twin", "toyrun")}
    for name, sum_ in sums.items():
        outputs = {f"results/runs/{name}/model": sum_}
        write_json(results / f"lineage/jobs/train_model/{name}.json", job | {"outputs": outputs})
    about = results / "runs/toyrun/model/f2llm.json"
    assert ask(results, model=str(about.parent))[0].run == "toyrun"
    (results / "runs/a_twin/model").rename(tmp_path / "copied")
    assert ask(results, model=str(tmp_path / "copied"))[0].run == "a_twin"


def test_a_model_whose_run_was_trained_otherwise_since_is_refused_with_what_differs(results, tmp_path):
    with_model(results)
    write_json(tmp_path / "copied/f2llm.json", {"digests": {"plan": "p" * 64, "train.learning_rate": 7}})
    with pytest.raises(InputError, match=r"'toyrun' differs in train\.learning_rate"):
        ask(results, model=str(tmp_path / "copied"))


def test_a_score_leads_to_its_points_and_unknown_ones_to_those_there_are(results):
    with_model(results)
    (found,) = ask(results, score="toyrun/Good")
    assert found.finding.score == 50.0
    assert found.finding.sources == [("toy", "CC0-1.0", 2)]
    with pytest.raises(InputError, match="tasks of toyrun: Good"):
        ask(results, score="toyrun/Bad")
    with pytest.raises(InputError, match="models: toyrun"):
        ask(results, score="nobody/Good")


def test_what_follows_are_checkpoints_after_the_step_the_model_and_its_scores(results):
    with_model(results)
    seen = ask(results, id=NEGATIVE.hex())[0].finding.seen
    assert seen.checkpoints == ["runs/toyrun/checkpoints/abc/step_000002"]
    assert seen.models == ["runs/toyrun/model"]
    assert seen.scores == ["scores/toyrun/Good.json"]


def test_without_a_run_all_runs_are_asked(results):
    write_json(results / "runs/other/run.json", read_json(results / "runs/toyrun/run.json"))
    (results / "runs/other/plan.parquet").write_bytes((results / "runs/toyrun/plan.parquet").read_bytes())
    assert [one.run for one in ask(results, run=None, id=TUPLE.hex())] == ["other", "toyrun"]


def test_exactly_one_thing_is_asked_for(results):
    for question in ({}, {"id": TUPLE.hex(), "step": 1}):
        with pytest.raises(InputError, match="name one thing"):
            ask(results, **question)


def test_answers_as_json_and_as_a_table(results, tmp_path):
    found = ask(results, id=TUPLE.hex())
    (content,) = json.loads(as_json(found))
    assert (content["kind"], content["tuple_id"], content["texts"][0]["places"][0]["row"]) == ("tuple", TUPLE.hex(), 7)
    assert write_parquet(tmp_path / "answers.parquet", found) == 1
    (row,) = pq.read_table(tmp_path / "answers.parquet").to_pylist()
    assert (row["id"], row["licence"], row["steps"]) == (TUPLE.hex(), "CC0-1.0", 2)


def test_a_deleted_table_is_named_with_what_makes_it(results):
    (results / "mined/m-1/toy/tuples.parquet").unlink()
    with pytest.raises(InputError, match=r"tuples\.parquet: is missing; `snakemake"):
        ask(results, id=TUPLE.hex())


def test_a_damaged_table_is_an_error_in_words(results):
    (results / "mined/m-1/toy/tuples.parquet").write_bytes(b"PAR1 not a table PAR1")
    with pytest.raises(InputError, match="cannot be read"):
        ask(results, id=TUPLE.hex())


@pytest.mark.parametrize("name", ["queries", "corpus"])
def test_curated_tables_that_are_gone_junk_or_too_short_are_errors_in_words(results, name):
    path = results / f"curated/c-1/toy/{name}.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(InputError, match="were not made together"):
        ask(results, id=TUPLE.hex())
    path.write_bytes(b"junk")
    with pytest.raises(InputError, match=f"{name}\\.parquet: cannot be read .*; run the stage"):
        ask(results, id=TUPLE.hex())
    path.unlink()
    with pytest.raises(InputError, match=f"{name}\\.parquet: is missing; `snakemake"):
        ask(results, id=TUPLE.hex())


def test_a_step_names_the_table_of_queries_that_is_gone_or_junk(results):
    path = results / "curated/c-1/toy/queries.parquet"
    path.write_bytes(b"junk")
    with pytest.raises(InputError, match=r"queries\.parquet: cannot be read"):
        ask(results, step=0)
    path.unlink()
    with pytest.raises(InputError, match=r"queries\.parquet: is missing"):
        ask(results, step=0)


@pytest.mark.parametrize(
    "question", [{"id": TUPLE.hex()}, {"text": "what is asked?"}, {"row": "toy.jsonl:7"}, {"source": "toy"}]
)
def test_a_manifest_that_is_gone_or_none_is_named_with_what_to_do(results, question):
    path = results / "sources/toy/manifest.json"
    for content in ({"a": 1}, ["b"], {"licence": {"id": "MIT"}, "files": [{}]}):
        write_json(path, content)
        with pytest.raises(InputError, match=r"toy/manifest\.json: is no manifest of a source .*; delete it"):
            ask(results, **question)
    path.unlink()
    with pytest.raises(InputError, match=r"toy/manifest\.json: is missing; `snakemake"):
        ask(results, **question)


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", "{", '{"scores": {"test": [1]}}'])
def test_a_file_that_is_no_score_is_named_with_what_to_do(results, text):
    with_model(results)
    (results / "scores/toyrun/Good.json").write_text(text)
    with pytest.raises(InputError, match=r"toyrun/Good\.json: is no result of mteb's .*; delete it"):
        ask(results, score="toyrun/Good")


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", "{", '{"digests": 1}'])
def test_a_folder_whose_file_is_of_no_training_is_named(results, text):
    with_model(results)
    (results / "runs/toyrun/model/f2llm.json").write_text(text)
    with pytest.raises(InputError, match=r"model/f2llm\.json: is not what training wrote"):
        ask(results, model=str(results / "runs/toyrun/model"))


def test_a_run_of_another_version_is_refused_in_words(results):
    content = read_json(results / "runs/toyrun/run.json")
    content["settings"]["mine"]["a_setting_of_old"] = 1
    write_json(results / "runs/toyrun/run.json", content)
    with pytest.raises(InputError, match="another version of this project"):
        ask(results, id=TUPLE.hex())


def test_no_run_at_all_is_an_error_in_words(tmp_path):
    with pytest.raises(InputError, match="no run here yet"):
        ask(tmp_path, run=None, id=TUPLE.hex())


def test_the_first_text_of_a_graded_pair_is_found_too(results):
    content = read_json(results / "runs/toyrun/run.json")
    content["settings"]["sources"][0]["task"] = "sts"
    write_json(results / "runs/toyrun/run.json", content)
    path = results / "sources/toy/queries.parquet"
    table = pq.read_table(path)
    pair = query_id("sts", "what is asked?\x1fThe answer")
    pq.write_table(
        table.slice(0, 1).set_column(0, table.schema.field(0), pa.array([pair], table.schema.field(0).type)), path
    )
    assert ask(results, text="what is asked?")[0].finding.id == pair.hex()
