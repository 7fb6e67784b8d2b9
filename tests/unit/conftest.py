"""Fixtures of several packages: a results folder of one finished run, rows of vectors, the toy training."""

import dataclasses
import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from f2llm.config.check import load_schema, with_defaults
from f2llm.config.mine import Index, Mine
from f2llm.records.files import write_json
from f2llm.records.ids import doc_id, query_id, tuple_id
from f2llm.records.schemas.curate import HITS, REMOVED
from f2llm.records.schemas.mine import REJECTED, TUPLES
from f2llm.records.schemas.plan import PLAN
from f2llm.records.schemas.sources import CORPUS, ORIGINS, QUERIES
from f2llm.records.schemas.train import METRICS, VALIDATION
from f2llm.records.tables import write_table
from f2llm.records.terms import long_form
from f2llm.records.text_keys import content_key
from f2llm.vectors.store import VectorStore

LICENCE = {"id": "CC0-1.0", "commercial": "yes", "note": ""}
PASSAGES = ["The <script>alert(1)</script> answer", "Another answer", "A third passage", "A copy"]
QUERIES_TEXT = ["what is asked?", "what else is asked?", "held out?"]
QUERY_IDS = [query_id("retrieval", text) for text in QUERIES_TEXT]
DOC_IDS = [doc_id(text) for text in PASSAGES]
TUPLE = tuple_id("toy", QUERY_IDS[0], DOC_IDS[0])
VARIANTS = {"curated": "c-1", "mined": "m-1", "tokens": "t-1", "vectors": "v-1"}


def table(schema, **columns):
    return pa.table(columns, schema=schema)


def corpus(path: Path, texts: list[str]) -> None:
    rows = table(
        CORPUS, doc_id=[doc_id(text) for text in texts], text=texts, content_key=[content_key(text) for text in texts]
    )
    write_table(path, schema=CORPUS, rows=[rows])


def queries(path: Path, texts: list[str], splits: list[str]) -> None:
    count = len(texts)
    rows = table(
        QUERIES,
        query_id=[query_id("retrieval", text) for text in texts],
        text=texts,
        positives=[[DOC_IDS[0]]] * count,
        negatives=[[]] * count,
        label=[None] * count,
        grade=[None] * count,
        group=texts,
        split=splits,
    )
    write_table(path, schema=QUERIES, rows=[rows])


def stanza(name: str) -> dict:
    keys = {
        "name": name, "task": "retrieval", "fetch": [], "adapter": "pairs", "options": {}, "instruction": "Find it.",
        "licence": LICENCE, "reference": "made up", "group": "row",
    }  # fmt: skip
    return with_defaults(keys, load_schema("source"))


def model(name: str) -> dict:
    keys = {
        "name": name, "fetch": {"kind": "local", "path": name}, "format": "folder", "member": "", "pooling": "last", "append_eos": True,
        "licence": LICENCE, "reference": "made up",
    }  # fmt: skip
    return with_defaults(keys, load_schema("model"))


def run_file() -> dict:
    mine = {"max_length": 8, "window": 10, "skip": 1, "negatives": 2}
    mine = with_defaults(mine, load_schema("config")["properties"]["mine"])
    train = {"steps": 2, "batch_size": 2, "negatives": 1, "learning_rate": 0.1, "warmup_steps": 0}
    train = with_defaults(train, load_schema("config")["properties"]["train"])
    settings = {
        "barred": [{"name": "news", "reason": "licence CC-BY-NC-4.0, commercial use: no"}],
        "sources": [stanza("toy")],
        "backbone": model("base"),
        "retriever": model("finder"),
        "mine": mine,
        "train": train,
    }
    return {"settings": settings, "variants": VARIANTS}


def scoreboard() -> dict:
    roles = {"toyrun": "run", "base-last": "base_last", "base-mean": "base_mean", "finder": "ceiling"}
    means = {"toyrun": 50.0, "base-last": 20.0, "base-mean": 30.0, "finder": 60.0}
    tasks = [("Good", 60.0, 20.0, 30.0), ("Worse", 40.0, 20.0, 45.0)]
    return {
        "run": "toyrun",
        "models": [
            {"model": name, "role": role, "means": {"task": means[name], "task_type": means[name], "in_domain": means[name], "untrained": None}}
            for name, role in roles.items()
        ],
        "tasks": [
            {
                "task": name, "type": "retrieval", "source": "toy", "domain": "in-domain", "not_decontaminated": None, "metric": "ndcg_at_10",
                "scores": {"toyrun": own, "base-last": last, "base-mean": mean, "finder": 60.0},
                "gain_over_last": own - last, "gain_over_mean": own - mean,
            }
            for name, own, last, mean in tasks
        ],
        "differences": [
            {"model": "toyrun", "other": "base-last", "task": "Good", "points": 40.0, "low": 31.5, "high": 48.5, "items": 20, "real": True},
            {"model": "toyrun", "other": "base-mean", "task": "Good", "points": 30.0, "low": -1.5, "high": 61.5, "items": 20, "real": False},
        ],
        "paper": [{"model": "a paper's model", "mean": 77.0, "reference": "made up"}],
        "tasks_not_improved": ["Worse"],
        "tasks_skipped": [],
    }  # fmt: skip


def vectors(results: Path) -> None:
    texts = QUERIES_TEXT[:2] + PASSAGES[:3]
    VectorStore(results / "vectors/store/finder/k", key="k").put(
        [doc_id(text) for text in texts], np.eye(5, 4, dtype=np.float32) + 0.1, precision="float32"
    )
    about = {
        "store": "results/vectors/store/finder/k",
        "key": "k",
        "passages": 3,
        "queries": 2,
        "instruction": "Find it.",
    }
    write_json(results / "vectors/v-1/c-1/toy.json", about | {"query_prompt": "", "passage_prompt": ""})


@pytest.fixture(scope="session")
def results_writer():
    return write_results


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path)


def write_results(tmp_path: Path) -> Path:
    source, curated, mined = tmp_path / "sources/toy", tmp_path / "curated/c-1/toy", tmp_path / "mined/m-1/toy"
    corpus(source / "corpus.parquet", PASSAGES)
    queries(source / "queries.parquet", QUERIES_TEXT, ["train", "train", "test"])
    origins = [("toy.jsonl", 7, "query", "query", QUERY_IDS[0]), ("toy.jsonl", 7, "positive", "passage", DOC_IDS[0])]
    columns = dict(zip(ORIGINS.names, map(list, zip(*origins, strict=True)), strict=True))
    write_table(source / "origins.parquet", schema=ORIGINS, rows=[table(ORIGINS, **columns)])
    file = {"name": "toy.jsonl", "bytes": 10, "sha256": "a" * 64}
    write_json(source / "manifest.json", {"source": "toy", "licence": LICENCE, "files": [file]})
    corpus(curated / "corpus.parquet", PASSAGES[:3])
    queries(curated / "queries.parquet", QUERIES_TEXT[:2], ["train", "train"])
    removed = {
        "id": [DOC_IDS[3]], "role": ["passage"], "stage": ["near"], "reason": ["a copy"], "kept_id": [DOC_IDS[1]],
        "similarity": [0.9], "evidence": [None],
    }  # fmt: skip
    write_table(curated / "removed.parquet", schema=REMOVED, rows=[table(REMOVED, **removed)])
    hits = {
        "id": DOC_IDS[:2], "role": ["passage"] * 2, "task": ["Good", "Worse"], "split": ["test"] * 2, "test_id": ["t7", "t8"],
        "field": ["query"] * 2, "rule": ["run", "equal"], "containment": [1.0, 1.0], "dropped": [True, False], "text": PASSAGES[:2],
        "test_text": ["The answer", "Another answer"],
    }  # fmt: skip
    write_table(curated / "hits.parquet", schema=HITS, rows=[table(HITS, **hits)])
    pairs = [{"role": "query", "sources": ["toy", "other"], "texts": 4321}]
    write_json(tmp_path / "shared/c-1/shared.json", {"shared_texts": 4321, "pairs": pairs})
    tuples = {
        "tuple_id": [TUPLE], "query_id": [QUERY_IDS[0]], "query_row": [0], "positive_row": [0], "positive_score": [0.9], "positive_rank": [3],
        "negative_rows": [[1, 2]], "negative_scores": [[0.5, 0.4]], "negative_ranks": [[2, 3]], "negative_kinds": [["mined", "mined"]],
    }  # fmt: skip
    write_table(mined / "tuples.parquet", schema=TUPLES, rows=[table(TUPLES, **tuples)])
    rejected = {
        "query_id": [QUERY_IDS[1]] * 2, "positive_id": [DOC_IDS[0], DOC_IDS[1]], "reason": ["filtered_out"] * 2,
        "candidates": [9, 9], "kept": [0, 0], "positive_score": [0.1, 0.1], "positive_rank": [10, None],
    }  # fmt: skip
    write_table(mined / "rejected.parquet", schema=REJECTED, rows=[table(REJECTED, **rejected)])
    plan = {
        "epoch": [0, 1], "step": [0, 1], "slot": [0, 0], "batch": [0, 0], "source": ["toy"] * 2, "tuple_id": [TUPLE] * 2, "tuple_row": [0, 0],
        "query_row": [0, 0], "positive_row": [0, 0], "negatives": [[0], [1]], "negative_rows": [[1], [2]],
        "tokens": [9, 9], "stage": ["main"] * 2,
    }  # fmt: skip
    write_table(tmp_path / "runs/toyrun/plan.parquet", schema=PLAN, rows=[table(PLAN, **plan)])
    metrics = {
        "step": [0, 1], "batch": [0, 0], "source": ["toy"] * 2, "loss": [2.0, 1.0], "loss_hard": [2.0, 1.0], "loss_in_batch": [None, None],
        "learning_rate": [0.1, 0.05], "gradient_norm": [1.0, 1.0], "tokens": [10, 10], "seconds": [1.0, 1.0],
        "computed_tokens": [10, 10], "tokens_per_second": [10.0, 10.0], "mfu": [0.5, 0.5],
    }  # fmt: skip
    validation = {
        "step": [0, 2], "source": ["toy"] * 2, "loss": [3.0, 1.5], "loss_hard": [3.0, 1.5], "loss_in_batch": [None, None],
        "tuples": [7, 7],
    }  # fmt: skip
    for name, schema, columns in (("validation", VALIDATION, validation), ("metrics", METRICS, metrics)):
        rows = [long_form(pa.table(columns), schema=schema)]
        write_table(tmp_path / f"runs/toyrun/{name}.parquet", schema=schema, rows=rows)
    write_json(tmp_path / "runs/toyrun/run.json", run_file())
    vectors(tmp_path)
    write_json(tmp_path / "scores/scoreboard.json", scoreboard())
    job = {
        "rule": "mine_source", "wildcards": {"source": "toy"}, "seconds": 61.0, "peak_memory_mb": 300, "counts": {"peak_memory_mb_of_children": 700},
        "versions": {"torch": "2.13.0"}, "platform": "Linux x86_64",
    }  # fmt: skip
    write_json(tmp_path / "job.json", job)
    read = {"rule": "normalise_source", "peak_memory_mb": 100, "seconds": 1.5, "counts": {"queries_read": 5}}
    write_json(tmp_path / "read.json", job | read)
    return tmp_path


def manifest(rule: str, *, wildcards: dict, inputs: dict, outputs: dict, params: dict | None = None) -> dict:
    return {
        "rule": rule, "wildcards": wildcards, "seconds": 3.5, "peak_memory_mb": 100, "counts": {}, "versions": {}, "platform": "Linux x86_64",
        "code": "0123456789abcdef", "params": params or {}, "inputs": inputs, "outputs": outputs,
    }  # fmt: skip


@pytest.fixture
def scored(results):
    """The toy run with a model, scores and the manifests of three jobs; returns (results, manifests)."""
    run = run_file()
    run["settings"]["curate"] = with_defaults({}, load_schema("config")["properties"]["curate"])
    write_json(results / "runs/toyrun/run.json", run)
    card = results / "runs/toyrun/model/README.md"
    card.parent.mkdir()
    card.write_text("---\nlicense: mit\n---\n# toyrun\n\nWhat the model is.\n")
    subset = {"main_score": 0.6, "hf_subset": "default", "languages": ["eng-Latn"]}
    for task in ("Good", "Worse"):
        write_json(results / f"scores/toyrun/{task}.json", {"mteb_version": "2.0", "scores": {"test": [subset]}})
    file = {"kind": "local", "package": "", "version": "", "name": "toy.jsonl", "bytes": 10, "sha256": "a" * 64}
    write_json(results / "sources/toy/manifest.json", {"source": "toy", "licence": LICENCE, "files": [file]})
    tuples, model = "results/mined/m-1/toy/tuples.parquet", "results/runs/toyrun/model"
    jobs = {
        "fetch_source/toy": manifest(
            "fetch_source", wildcards={"source": "toy"}, inputs={}, outputs={"results/sources/toy/manifest.json": "b" * 64}
        ),
        "mine_source/m-1/toy": manifest(
            "mine_source", wildcards={"source": "toy"}, inputs={"results/curated/c-1/toy/corpus.parquet": "c" * 64}, outputs={tuples: "d" * 64}
        ),
        "train_model/toyrun": manifest(
            "train_model", wildcards={}, inputs={tuples: "d" * 64}, outputs={model: "e" * 64}, params={"threads": 2, "processes": 1, "nodes": 1}
        ),
    }  # fmt: skip
    for name, content in jobs.items():
        write_json(results / f"lineage/jobs/{name}.json", content)
    return results, sorted((results / "lineage/jobs").rglob("*.json"))


INDEX = Index(kind="flat", lists=8, probes=2, links=8, build_breadth=32, search_breadth=32, recall_sample=20)
RULE = Mine(
    max_length=48, window=100, skip=5, skip_order="after_filter", max_score=0.8, min_score=None, relative_margin=0.05,
    absolute_margin=None, strict=True, sampling="top", negatives=24, least_negatives=None, several_positives="min",
    positives="all", positive_max_rank=None, positive_min_score=None, exclude_copies=True, exclude_own_text=True,
    index=INDEX, backend="faiss", device="cpu", block_rows=64, texts_per_job=1000, queries_per_job=1000, min_kept=1,
)  # fmt: skip


def _unit(rows):
    """Rows of unit length, rounded to float16 as they are stored."""
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def _related(seed, *, queries, passages, dim=32, noise=1.2):
    """Random passages, and queries that lie near passage 0, 1, 2, ...: no two scores are equal."""
    generator = np.random.default_rng(seed)
    corpus = _unit(generator.normal(size=(passages, dim)))
    asked = corpus[np.arange(queries) % passages] + noise * generator.normal(size=(queries, dim)) / np.sqrt(dim)
    return _unit(asked), corpus


def _canonical(queries, corpus):
    """Scores [Q, N] by the definition: float64 products of stored vectors, rounded once."""
    return (queries.astype(np.float64) @ corpus.astype(np.float64).T).astype(np.float32)


@pytest.fixture
def unit():
    return _unit


@pytest.fixture
def related():
    return _related


@pytest.fixture
def canonical():
    return _canonical


@pytest.fixture(scope="session")
def rule():
    return lambda **changes: dataclasses.replace(RULE, **changes)


@pytest.fixture
def stored(tmp_path):
    """Return a view of rows that were put into a store in several shards."""

    def make(rows, name="store"):
        ids = [number.to_bytes(16, "big") for number in range(len(rows))]
        store = VectorStore(tmp_path / name, key="test")
        for first in range(0, len(rows), 97):
            store.put(ids[first : first + 97], rows[first : first + 97], precision="float32")
        return store.view(ids)

    return make


def beside(name):
    """Load a module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def toy():
    """The module of the toy training."""
    return beside("toy_training")


@pytest.fixture(scope="session")
def float64():
    """The module that computes in float64."""
    return beside("float64")


@pytest.fixture(scope="session")
def backbone(toy, tmp_path_factory):
    """Its backbone, for tests that only read it."""
    return toy.write_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture
def wheel(tmp_path):
    """Return a function that makes a wheel from members and gives its path."""

    def make(members: dict[str, str | bytes], name: str = "toy-1.0-py3-none-any.whl") -> Path:
        path = tmp_path / "index" / name
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in members.items():
                archive.writestr(zipfile.ZipInfo(member), content)
        return path

    return make
