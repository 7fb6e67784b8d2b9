"""The only tests that run mteb, whose import takes seconds: its scores against figures computed here."""

import random
from collections import Counter

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, v_measure_score

from f2llm.config.candidates import Candidate
from f2llm.evaluate import batch
from f2llm.evaluate.tasks.data import read_lines
from f2llm.evaluate.tasks.drawn import build_task
from f2llm.records.files import read_json, sha256_path

PROMPT = "Instruct: Do it.\nQuery: "
POOLINGS = {"base-last": "last", "base-mean": "mean"}


@pytest.fixture
def candidates(tmp_path):
    (tmp_path / "model").mkdir()
    return [
        Candidate(name=name, role="run", folder=str(tmp_path / "model"), pooling=pooling,
                  query_prompt="Instruct: {instruction}\nQuery: ", max_length=64, precision="float32")
        for name, pooling in POOLINGS.items()
    ]  # fmt: skip


@pytest.fixture
def score(tmp_path, candidates, encoder, monkeypatch):
    """Build tasks from (task, tables), score them in one job, return task -> (rows, score of candidate)."""
    monkeypatch.setattr(batch, "load_encoder", lambda *_, **__: encoder)

    def run(tasks):
        folders = [tmp_path / task.name / "data" for task, _ in tasks]
        for (task, tables), folder in zip(tasks, folders, strict=True):
            build_task(task, tables, folder=folder, texts=tmp_path / task.name / "texts.parquet")
        counts = batch.evaluate_batch(
            candidates, [task for task, _ in tasks], data=folders, scores=tmp_path / "scores",
            scratch=tmp_path / "scratch", threads=1, store=tmp_path / "store",
        )  # fmt: skip
        return counts, {
            folder.parent.name: (
                {path.stem: read_lines(path) for path in folder.glob("*.jsonl")},
                {name: read_json(tmp_path / "scores" / name / f"{folder.parent.name}.json") for name in POOLINGS},
            )
            for folder in folders
        }

    return run


def main_score(result):
    return result["scores"]["test"][0]["main_score"]


def prompted(rows, column):
    return [PROMPT + row[column] for row in rows]


def ndcg_at_10(rows, vectors_of, pooling):
    queries, corpus = rows["queries"], rows["corpus"]
    relevant = {(row["query-id"], row["corpus-id"]) for row in rows["qrels"]}
    cosines = vectors_of(prompted(queries, "text"), pooling) @ vectors_of([row["text"] for row in corpus], pooling).T
    scores = []
    for query, row in zip(queries, cosines, strict=True):
        ranked = [corpus[at]["_id"] for at in np.argsort(-row)[:10]]
        gain = sum((query["_id"], doc) in relevant and 1 / np.log2(rank + 2) for rank, doc in enumerate(ranked))
        ideal = sum(1 / np.log2(rank + 2) for rank in range(min(10, sum(q == query["_id"] for q, _ in relevant))))
        scores.append(gain / ideal)
    return np.mean(scores)


def probe_accuracy(rows, vectors_of, pooling):
    train, test = rows["train"], rows["test"]
    each = 3 * min(Counter(row["label"] for row in train).values()) // 4
    order, accuracies = list(range(len(train))), []
    for _ in range(10):
        np.random.RandomState(42).shuffle(order)
        chosen, taken = [], Counter()
        for at in order:
            if taken[train[at]["label"]] < each:
                chosen.append(train[at])
                taken[train[at]["label"]] += 1
        probe = LogisticRegression(max_iter=1000, random_state=42)
        probe.fit(vectors_of(prompted(chosen, "text"), pooling), [row["label"] for row in chosen])
        found = probe.predict(vectors_of(prompted(test, "text"), pooling))
        accuracies.append(accuracy_score([row["label"] for row in test], found))
    return np.mean(accuracies)


def mean_v_measure(rows, vectors_of, pooling):
    vectors = vectors_of(prompted(rows["test"], "sentences"), pooling)
    labels = np.array([row["labels"] for row in rows["test"]])
    dice, means = random.Random(42), MiniBatchKMeans(len(set(labels)), batch_size=512, n_init=1, random_state=42)
    draws = [dice.choices(range(len(labels)), k=len(labels)) for _ in range(10)]
    return np.mean([v_measure_score(labels[draw], means.fit_predict(vectors[draw])) for draw in draws])


def rank_correlation(rows, vectors_of, pooling):
    first, second = (vectors_of(prompted(rows["test"], column), pooling) for column in ("sentence1", "sentence2"))
    return spearmanr((first * second).sum(1), [row["score"] for row in rows["test"]])[0]


INDEPENDENT = {
    "retrieval": ndcg_at_10, "classification": probe_accuracy, "clustering": mean_v_measure, "sts": rank_correlation,
}  # fmt: skip


def four_tasks(make_source, task):
    pairs, kinds, topics, graded = (make_source(kind) for kind in INDEPENDENT)
    for number in range(30):
        pairs.add(f"query {number}", f"answer {number}", *([f"also {number}"] if number % 3 else []))
        kinds.add(f"kind {number}", label="ab"[number % 2])
        kinds.add(f"known {number}", label="ab"[number % 3 == 0], split="train")
        topics.add(f"topic {number}", label="xyz"[number % 3])
        graded.add(f"first {number}", f"second {number}", grade=number % 7)
    sources = dict(zip(INDEPENDENT, (pairs, kinds, topics, graded), strict=True))
    return [(task(kind, name=kind.title()), source.write(name=kind)) for kind, source in sources.items()]


def test_scores_are_those_of_an_independent_computation(score, task, source, vectors_of, encoder, tmp_path):
    counts, results = score(four_tasks(lambda _: type(source)(tmp_path), task))
    for kind, compute in INDEPENDENT.items():
        rows, by_candidate = results[kind.title()]
        for name, pooling in POOLINGS.items():
            # mteb rounds some scores to five decimals.
            assert main_score(by_candidate[name]) == pytest.approx(compute(rows, vectors_of, pooling), abs=1e-5), kind
            assert by_candidate[name]["dataset_revision"] == sha256_path(tmp_path / kind.title() / "data")
            assert by_candidate[name]["model_name"] == f"f2llm/{name}"
    assert len(encoder.seen) == len(set(encoder.seen)) == counts["texts_encoded"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_second_evaluation_writes_the_same_bytes(score, task, source, tmp_path):
    tasks = four_tasks(lambda _: type(source)(tmp_path), task)[2:]
    score(tasks)
    before = sha256_path(tmp_path / "scores")
    score(tasks)
    assert sha256_path(tmp_path / "scores") == before


def test_two_tasks_of_one_layout_do_not_answer_for_each_other(score, task, source, vectors_of, tmp_path):
    first, second = type(source)(tmp_path), type(source)(tmp_path)
    for number in range(12):
        first.add(f"a {number}", f"b {number}", grade=number)
        second.add(f"c {number}", f"d {number}", grade=-number)
    _, results = score(
        [(task("sts", name="First"), first.write(name="f")), (task("sts", name="Second"), second.write(name="s"))]
    )
    for rows, by_candidate in results.values():
        expected = rank_correlation(rows, vectors_of, "last")
        assert main_score(by_candidate["base-last"]) == pytest.approx(expected, abs=1e-5)


def test_a_result_loads_as_a_task_result_of_mteb(score, task, source, tmp_path):
    from mteb.results import TaskResult

    _, results = score(four_tasks(lambda _: type(source)(tmp_path), task)[3:])
    loaded = TaskResult.from_disk(tmp_path / "scores" / "base-last" / "Sts.json")
    assert loaded.get_score() == main_score(results["Sts"][1]["base-last"])


def test_a_task_without_rows_is_reported_and_not_scored(score, task, source, encoder):
    counts, results = score([(task("clustering", name="Dead"), source.write())])
    assert counts["tasks_skipped"] == 1
    assert all(result["scores"] == {} for result in results["Dead"][1].values())
    assert encoder.seen == []


@pytest.mark.parametrize("packed", [False, True])
def test_poolings_from_one_forward_pass_are_those_of_an_encoder_each(tmp_path, monkeypatch, packed):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    from f2llm.models.encoder import Encoder

    if not packed:
        monkeypatch.setattr(Encoder, "_try_packs", lambda *_: None)

    words = {word: number for number, word in enumerate(["<pad>", "a", "b", "c", "d"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>").save_pretrained(tmp_path)
    torch.manual_seed(0)
    LlamaModel(
        LlamaConfig(vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                    num_key_value_heads=2, max_position_embeddings=32)
    ).save_pretrained(tmp_path)  # fmt: skip
    texts = ["a b c", "d", "a a b b c c d d"]
    single = {
        pooling: Encoder.load(tmp_path, pooling=pooling, max_length=16, precision="float32")
        for pooling in ("last", "mean")
    }
    both = single["last"].encode_poolings(texts, poolings=("last", "mean"), what="texts")
    for pooling, vectors in zip(("last", "mean"), both, strict=True):
        assert np.array_equal(vectors, single[pooling].encode(texts, what="texts"))
