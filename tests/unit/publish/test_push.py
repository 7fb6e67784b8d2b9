from types import SimpleNamespace

import huggingface_hub
import pytest

from f2llm.publish.push import check_repository, plan_push, push, push_lines
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_path, write_json


@pytest.fixture
def results(tmp_path):
    model = tmp_path / "runs/toy/model"
    (model / "1_Pooling").mkdir(parents=True)
    (model / "README.md").write_text("# toy\n")
    (model / "1_Pooling/config.json").write_text("{}")
    (model / ".snakemake_timestamp").write_text("")
    write_json(tmp_path / "scores/toy/Good.json", {})
    write_json(tmp_path / "scores/toy/Foreign.json", {})
    outputs = {"results/scores/toy/Good.json": "a" * 64}
    job = {"rule": "evaluate_run", "outputs": outputs, "code": None, "seconds": 1.0}
    job |= dict.fromkeys(("inputs", "params", "wildcards", "versions", "counts"), {})
    write_json(tmp_path / "lineage/jobs/evaluate_run/toy.json", job)
    return tmp_path


def test_model_card_and_scores_that_a_job_made_go_and_nothing_else(results):
    uploads = plan_push(results, "toy")
    assert [upload.name for upload in uploads] == ["1_Pooling/config.json", "README.md", "scores/Good.json"]
    assert push_lines(uploads)[-1].endswith("bytes in 3 files")


def test_a_run_without_a_model_is_refused_with_those_that_have_one(results):
    with pytest.raises(InputError, match="runs that have one: toy"):
        plan_push(results, "other")


def test_the_card_with_scores_goes_in_place_of_that_of_training_unless_it_is_of_other_weights(results):
    card, model = results / "cards/toy/model_card.md", results / "runs/toy/model"
    card.parent.mkdir(parents=True)
    card.write_text("# toy, scored\n")
    inputs = {"results/runs/toy/model": sha256_path(model)}
    write_json(results / "lineage/jobs/write_cards/toy.json", {"inputs": inputs})
    assert {upload.name: upload.path for upload in plan_push(results, "toy")}["README.md"] == card
    (model / "1_Pooling/config.json").write_text("[]")
    with pytest.raises(InputError, match="another model .*forms"):
        plan_push(results, "toy")


@pytest.mark.parametrize("what", ["home", "token"])
def test_a_card_that_tells_of_this_machine_is_refused(results, monkeypatch, what):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    said = {"home": "made in /home/somebody/work", "token": "with hf_abcdefgh"}[what]
    (results / "runs/toy/model/README.md").write_text(said)
    with pytest.raises(InputError, match="contains a user or host name, a home folder or a token"):
        plan_push(results, "toy")


@pytest.mark.parametrize("name", ["toy", "a/b/c", "../a", "a/..", "-a/b", ""])
def test_what_is_no_repository_is_refused(name):
    with pytest.raises(InputError, match="OWNER/NAME"):
        check_repository(name)


class Hub:
    """Stands for the hub: keeps what it is sent."""

    sent = ()

    def __init__(self, token):
        self.token = token

    def create_repo(self, repository, *, private, exist_ok):
        if repository == "not/mine":
            raise OSError(f"403 for {self.token}")

    def create_commit(self, repository, operations, *, commit_message):
        Hub.sent = (repository, [one.path_in_repo for one in operations], commit_message, self.token)
        return SimpleNamespace(commit_url=f"https://hub/{repository}/commit/1")


def test_all_goes_in_one_commit_with_the_token_of_the_environment(results, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    assert push(plan_push(results, "toy"), "me/toy", private=True, message="Run toy").endswith("/me/toy/commit/1")
    names = ["1_Pooling/config.json", "README.md", "scores/Good.json"]
    assert Hub.sent == ("me/toy", names, "Run toy", "hf_abcdefgh")


def test_a_refusal_is_said_without_the_token(results, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    with pytest.raises(InputError, match=r"the hub refused \(403 for \*\*\*\)"):
        push(plan_push(results, "toy"), "not/mine", private=True, message="m")


def test_without_a_token_nothing_is_sent(results, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(InputError, match="HF_TOKEN: not set"):
        push(plan_push(results, "toy"), "me/toy", private=False, message="m")
