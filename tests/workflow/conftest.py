"""A checkout in a temporary folder with toy data and tiny random models, driven by the real snakemake."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CODE = ("Snakefile", "rules", "workflow", "f2llm", "profiles", "slurm", "requirements.lock", "environment.yml")
LICENCE = {"id": "CC0-1.0", "commercial": "yes"}
THINGS = (
    "apple",
    "river",
    "stone",
    "cloud",
    "tiger",
    "piano",
    "wagon",
    "candle",
    "mirror",
    "forest",
    "anchor",
    "button",
)
PLACES = (
    "in the garden",
    "under the bridge",
    "behind the old mill",
    "near the harbour",
    "on the third shelf",
    "by the door",
)
TOPICS = {"animals": "the cat and the dog run", "cities": "streets and towers rise", "music": "a song is played loud"}
# Nothing that is published may hold these.
SECRETS = {"USER": "zq-somebody", "LOGNAME": "zq-somebody", "HF_TOKEN": "hf_zqSecretOfSomebody"}
TOY_RUN = {
    "run": "toy",
    "sources": ["toy_pairs", "toy_kinds", "toy_topics"],
    "backbone": "tiny",
    "retriever": "tiny-retriever",
    "benchmark": "toy",
    # A random retriever gives cosines near one: no bound on them, so that the rule has something to keep.
    "mine": {"max_length": 16, "negatives": 3, "skip": 1, "max_score": 2.0, "relative_margin": 0.0, "window": 60},
    "tokens": {"query_max_length": 40, "passage_max_length": 16},
    "train": {
        "steps": 4, "batch_size": 4, "negatives": 2, "learning_rate": 0.01, "warmup_steps": 1, "checkpoint_every": 2,
        "threads": 1, "precision": "float32",
    },
    "evaluate": {"max_length": 40, "precision": "float32", "gate": {"over_base_last": -100, "over_base_mean": -100}},
}  # fmt: skip


class Toy:
    """A toy checkout: `run` calls snakemake in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]

    def environment(self) -> dict[str, str]:
        private = {
            "PYTHONPATH": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder / ".cache"),
            "OMP_NUM_THREADS": "1",
            **SECRETS,
        }
        return {**os.environ, **private}

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done

    def configure(self, **changes: object) -> None:
        content = TOY_RUN | changes
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(content))

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return rule -> number of jobs that a dry run would run."""
        out = self.run("-n", "--quiet", "rules", *arguments)
        lines = (out.stdout + out.stderr).splitlines()
        jobs = {}
        for line in lines:
            parts = line.split()
            if len(parts) == 2 and parts[1].isdigit() and parts[0] != "total":
                jobs[parts[0]] = int(parts[1])
        return jobs


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    for name in CODE:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name, **({"ignore": shutil.ignore_patterns("__pycache__")} if source.is_dir() else {}))
    write_data(folder / "data")
    write_models(folder / "models")
    write_stanzas(folder / "config")
    Toy(folder).configure()
    return folder


@pytest.fixture(scope="session")
def finished(template, tmp_path_factory) -> Toy:
    """A toy run from data to report, made once; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("finished") / "checkout"
    shutil.copytree(template, folder)
    toy = Toy(folder)
    toy.run()
    return toy


@pytest.fixture
def fresh(template, tmp_path) -> Toy:
    shutil.copytree(template, tmp_path / "checkout")
    return Toy(tmp_path / "checkout")


@pytest.fixture(scope="session")
def toy_at(template):
    """Makes a toy checkout of its own in a folder."""

    def make(folder: Path) -> Toy:
        shutil.copytree(template, folder)
        return Toy(folder)

    return make


@pytest.fixture
def copied(finished, tmp_path) -> Toy:
    """A copy of the finished run (times kept) to change things in."""
    shutil.copytree(finished.folder, tmp_path / "checkout", symlinks=True)
    return Toy(tmp_path / "checkout")


def write_data(folder: Path) -> None:
    folder.mkdir()
    pairs = [
        {"query": f"where is the {thing} number {number}?", "positive": f"The {thing} number {number} is {place}."}
        for number, place in enumerate(PLACES * 2)
        for thing in THINGS
    ]
    topics = [
        {"text": f"{text} {number} {place}", "label": topic}
        for topic, text in TOPICS.items()
        for number, place in enumerate(PLACES * 12)
    ]
    kinds = [
        {"text": row["text"] + " today", "label": "living" if row["label"] == "animals" else "made"} for row in topics
    ]
    for name, rows in (("pairs", pairs), ("topics", topics), ("kinds", kinds)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_models(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<eos>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"where is the {thing} {place}" for thing in THINGS for place in PLACES], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")
    for seed, name in enumerate(("tiny", "tiny-retriever")):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, eos_token_id=0, pad_token_id=1, bos_token_id=0,
        )  # fmt: skip
        LlamaModel(config).save_pretrained(folder / name)
        fast.save_pretrained(folder / name)


def write_stanzas(folder: Path) -> None:
    def source(name: str, task: str, adapter: str, file: str) -> dict:
        return {
            "name": name, "task": task, "fetch": [{"kind": "local", "path": f"data/{file}.jsonl"}], "adapter": adapter,
            "instruction": f"Solve {name}.", "licence": LICENCE, "reference": "made up", "group": "row",
        }  # fmt: skip

    def model(name: str, pooling: str, eos: bool, prompt: str) -> dict:
        return {
            "name": name, "fetch": {"kind": "local", "path": f"models/{name}"}, "format": "folder", "member": "",
            "pooling": pooling, "append_eos": eos, "query_prompt": prompt, "licence": LICENCE, "reference": "made up",
        }  # fmt: skip

    def task(name: str, kind: str, source_name: str, **sizes: int) -> dict:
        return {"name": name, "type": kind, "source": source_name, "split": "test", **sizes}

    tasks = [
        task("ToyPairs", "retrieval", "toy_pairs", queries=10, passages=60),
        task("ToyKinds", "classification", "toy_kinds", queries=10, train_texts=40),
        task("ToyTopics", "clustering", "toy_topics", queries=9),
    ]
    stanzas = {
        "sources": [
            source("toy_pairs", "retrieval", "pairs", "pairs"),
            source("toy_kinds", "classification", "labelled", "kinds"),
            source("toy_topics", "clustering", "labelled", "topics"),
        ],
        "models": [
            model("tiny", "last", True, "Instruct: {instruction}\nQuery: "),
            model("tiny-retriever", "mean", False, ""),
        ],
        "benchmarks": [{"name": "toy", "tasks": tasks}],
    }
    for kind, content in stanzas.items():
        (folder / kind).mkdir(parents=True)
        for stanza in content:
            (folder / kind / f"{stanza['name']}.yaml").write_text(yaml.safe_dump(stanza, sort_keys=False))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mteb-tier", default="smoke", choices=("smoke", "nano", "full"), help="tasks of test_mteb_tasks")
