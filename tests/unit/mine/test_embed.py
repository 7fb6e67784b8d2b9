import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch

import f2llm.mine.embed as module
import f2llm.models.encoder
from f2llm.config.fetch import Fetch
from f2llm.config.models import Model
from f2llm.config.rights import Licence
from f2llm.config.sources import Source
from f2llm.config.stanzas import filled
from f2llm.mine.embed import Retriever, embed_source
from f2llm.models.prompts import vector_id
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.ids import doc_id, query_id
from f2llm.records.schemas.sources import CORPUS, QUERIES
from f2llm.records.tables import Share, write_table
from f2llm.vectors.store import VectorStore

LICENCE = Licence(id="CC0-1.0", commercial="yes", note="")


class Fake:
    """An encoder whose vectors say how long a text is; it remembers what it read."""

    dim, precision = 2, "float32"
    read: list[str] = []

    def encode_poolings(self, texts, *, poolings, what, bar):
        if "void" in texts:
            raise InputError(f"{what}: text {texts.index('void')}: its vector is zero")
        Fake.read += texts
        bar.advance(len(texts))
        return np.array([[[1.0, len(text)] for text in texts]], np.float32)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Return a call of embed_source on the given passages and queries; results stay between calls."""
    monkeypatch.setattr(f2llm.models.encoder, "Encoder", SimpleNamespace(load=lambda *_, **__: Fake()))
    monkeypatch.setattr(Fake, "read", [])
    model_folder = tmp_path / "model"
    model_folder.mkdir()
    (model_folder / "weights").write_text("one")

    def call(
        passages, queries, *, task="retrieval", prompt="", weights="one", form="folder", passage_prompt="", **settings
    ):
        (model_folder / "weights").write_text(weights)
        docs = sorted(({"doc_id": doc_id(text), "text": text, "content_key": ""} for text in passages), key=str)
        asked = [
            {"query_id": query_id(task, text), "text": text, "positives": [], "negatives": [], "group": "", "split": ""}
            for text in queries
        ]
        for name, schema, rows in (("corpus", CORPUS, docs), ("queries", QUERIES, asked)):
            write_table(tmp_path / name, schema=schema, rows=[pa.Table.from_pylist(rows, schema=schema)])
        model = filled(
            Model, name="m", fetch=Fetch(kind="local"), format=form, member="", pooling="mean", append_eos=False, control_tokens="letters",
            query_prompt=prompt, passage_prompt=passage_prompt, licence=LICENCE, reference="",
        )  # fmt: skip
        source = filled(
            Source, name="toy", task=task, fetch=(), adapter="", instruction="find", licence=LICENCE, reference="", group="",
        )  # fmt: skip
        counts = embed_source(
            corpus=tmp_path / "corpus", queries=tmp_path / "queries", source=source,
            retriever=Retriever(model_folder, model, 48, settings.pop("device", "auto")), store=tmp_path / "store", manifest=tmp_path / "manifest",
            threads=1, **settings,
        )  # fmt: skip
        return counts, read_json(tmp_path / "manifest")

    return call


def test_passages_and_prompted_queries_are_encoded_and_found_by_their_ids(job):
    counts, about = job(["a", "bb"], ["ccc"], prompt="{instruction}: ")
    assert sorted(Fake.read) == ["a", "bb", "find: ccc"]
    assert (counts["encoded"], about["passages"], about["queries"], about["dim"]) == (3, 2, 1, 2)
    store = VectorStore(about["store"], key=about["key"])
    ids = [doc_id("bb"), vector_id("ccc", prompt="{instruction}: ", instruction="find")]
    assert store.get(ids).tolist() == [[1, 2], [1, 9]]


def test_a_prompt_before_passages_is_read_and_names_their_vectors(job):
    about = job(["a"], ["b"], prompt="query: ", passage_prompt="passage: ")[1]
    assert sorted(Fake.read) == ["passage: a", "query: b"] and about["passage_prompt"] == "passage: "
    store = VectorStore(about["store"], key=about["key"])
    assert store.get([vector_id("a", prompt="passage: ", instruction="")]).tolist() == [[1, 10]]


def test_a_second_run_encodes_nothing_and_writes_the_same_manifest(job):
    first = job(["a", "bb"], ["ccc"])
    counts, about = job(["a", "bb"], ["ccc"])
    assert len(Fake.read) == 3 and (counts["encoded"], counts["reused"]) == (0, 3)
    assert about == first[1]


def test_only_new_texts_are_encoded(job):
    job(["a", "bb"], ["ccc"])
    assert job(["a", "dddd"], ["ccc", "e"])[0]["encoded"] == 2
    assert sorted(Fake.read[3:]) == ["dddd", "e"]


def test_other_weights_share_nothing(job):
    first = job(["a"], ["b"])[1]
    assert job(["a"], ["b"], weights="two")[1]["key"] != first["key"]
    assert len(Fake.read) == 4


def test_a_kill_loses_at_most_one_shard(job, monkeypatch):
    monkeypatch.setattr("f2llm.vectors.fill.SHARD_ROWS", 4)
    texts = [f"text {number}" for number in range(10)]
    encode = Fake.encode_poolings

    def die_at_the_third_shard(self, part, **rest):
        if len(Fake.read) >= 8:
            raise KeyboardInterrupt
        return encode(self, part, **rest)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Fake, "encode_poolings", die_at_the_third_shard)
        job(texts, ["q"])
    assert job(texts, ["q"])[0]["encoded"] == 3
    assert sorted(Fake.read) == sorted([*texts, "q"])


@pytest.mark.parametrize("task", ["classification", "clustering"])
def test_sources_without_search_get_a_manifest_and_load_no_model(job, task):
    counts, about = job(["a"], ["b"], task=task)
    assert Fake.read == [] and counts == {"passages": 0, "queries": 0, "encoded": 0, "reused": 0}
    assert about == {"source": "toy", "task": task, "passages": 0, "queries": 0}


def test_embedding_such_a_source_imports_no_torch():
    import subprocess

    code = "import sys, f2llm.mine.embed; sys.exit(bool({'torch', 'transformers', 'faiss'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("jobs", [2, 3])
def test_shares_encode_each_text_once_and_leave_nothing_for_the_whole(job, jobs):
    texts, queries = [f"text {number}" for number in range(7)], ["q", "qq"]
    made = [job(texts, queries, share=Share(number, jobs))[0] for number in range(jobs)]
    assert sum(counts["encoded"] for counts in made) == 9 and sorted(Fake.read) == sorted([*texts, *queries])
    counts, about = job(texts, queries)
    assert (counts["encoded"], counts["reused"], about["passages"], about["queries"]) == (0, 9, 7, 2)


def test_few_texts_in_memory_at_once_change_nothing(job, monkeypatch):
    texts = [f"text {number}" for number in range(10)]
    whole = job(texts, ["q"])[1]
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 3)
    assert job(texts, ["q"])[1] == whole
    assert job([*texts, "new"], ["q"])[0]["encoded"] == 1


def test_the_store_says_what_made_its_vectors(job):
    about = job(["a"], ["b"])[1]
    said = read_json(Path(about["store"]) / "encoder.json")
    assert (said["model"], said["max_length"], said["pooling"], said["device"]) == ("m", 48, "mean", "cpu")


def test_precomputed_vectors_are_looked_up_by_the_plain_texts(job, tmp_path):
    folder, key = tmp_path / "model", "vectors-1"
    folder.mkdir(exist_ok=True)
    for role, texts in (("passages", ["a", "b"]), ("queries", ["q"])):
        ids = [doc_id(text) for text in texts]
        VectorStore(folder / role, key=key).put(ids, np.eye(2)[: len(ids)], precision="float16")
    write_json(folder / "vectors.json", {"key": key, "dim": 2})
    counts, about = job(["a", "b"], ["q"], form="vectors", prompt="never {instruction}: ")
    assert (counts["encoded"], about["dim"], about["query_prompt"], Fake.read) == (0, 2, "", [])
    query_store = VectorStore(about["query_store"], key=about["key"])
    assert query_store.get([vector_id("q", prompt="", instruction="find")]).tolist() == [[1, 0]]
    with pytest.raises(InputError, match="(?s)1 passages have no vector in model m .*'c'.*1 queries have no vector"):
        job(["a", "c"], ["r"], form="vectors")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_asked_for_and_absent_stops_the_run(job):
    with pytest.raises(InputError, match="mine.device: cuda is asked for"):
        job(["a"], ["b"], device="cuda")


def test_a_text_without_a_vector_stops_the_run_or_skips_the_source(job):
    with pytest.raises(InputError, match="source toy: passages: text 0: its vector is zero"):
        job(["void"], ["q"])
    counts, about = job(["void"], ["q"], on_source_error="skip")
    assert "its vector is zero" in about["skipped"] and counts["skipped"] == about["skipped"]


def test_graded_pairs_are_refused(job):
    with pytest.raises(InputError, match="graded pairs"):
        job(["a"], ["b"], task="sts")


def test_empty_tables_give_an_empty_manifest(job):
    counts, about = job([], [])
    assert (counts["encoded"], about["passages"], about["queries"], about["dim"]) == (0, 0, 0, 0)
