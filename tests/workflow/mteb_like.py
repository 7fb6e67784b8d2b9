"""Small made-up data sets in the layouts in which the hub holds the tasks of MTEB(eng, v2)."""

import json

import yaml

WORDS = ("river", "stone", "cloud", "tiger", "piano", "wagon", "candle", "mirror", "forest", "anchor")
LABELS = ("one", "two", "three", "four")
# mteb draws so many texts of these tasks, and fails on fewer.
DRAWN = 2048
MANY = (
    "ArXivHierarchicalClusteringP2P",
    "ArXivHierarchicalClusteringS2S",
    "StackExchangeClustering.v2",
    "ToxicConversationsClassification",
)
FLAT = ("BiorxivClusteringP2P.v2",)
# One default configuration with a column that names the language.
BY_COLUMN = ("MassiveIntentClassification", "MassiveScenarioClassification", "STS17", "STS22.v2")


def text(number):
    """Return a text of its own for each number."""
    return f"{WORDS[number % 10]} {WORDS[number // 10 % 10]} {WORDS[number // 100 % 10]} number {number}"


def files_of(task):
    """Return path -> content of the data set of a task (f2llm.config.benchmarks.Task)."""
    configs = {
        "retrieval": searched, "reranking": searched, "classification": classified, "clustering": clustered,
        "sts": pairs_with_scores, "pairs": pairs_with_labels, "summarisation": summarised,
    }[task.type](task)  # fmt: skip
    front = {
        "configs": [
            {"config_name": name, "data_files": [{"split": split, "path": f"{name}/{split}.jsonl"} for split in splits]}
            for name, splits in configs.items()
        ]
    }
    files = {"README.md": f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n".encode()}
    for name, splits in configs.items():
        for split, rows in splits.items():
            files[f"{name}/{split}.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return files


def by_language(task, splits):
    language = task.mteb.subsets[0]
    if task.name in BY_COLUMN:
        return {"default": {split: [row | {"lang": language} for row in rows] for split, rows in splits.items()}}
    return {language: splits}


def searched(task):
    queries = [f"q{number}_0" if task.name == "MindSmallReranking" else f"q{number}" for number in range(6)]
    corpus = [{"_id": f"d{number}", "title": "", "text": text(number)} for number in range(40)]
    configs = {
        "corpus": corpus,
        "queries": [{"_id": query, "text": text(100 + number)} for number, query in enumerate(queries)],
        "default": [{"query-id": query, "corpus-id": f"d{number}", "score": 1} for number, query in enumerate(queries)],
    }
    if task.type == "reranking":
        ranked = [f"d{number}" for number in range(20)]
        configs["top_ranked"] = [{"query-id": query, "corpus-ids": ranked} for query in queries]
    return {name: {"test": rows} for name, rows in configs.items()}


def classified(task):
    def rows(count, first):
        return [{"text": text(first + number), "label": number % 2} for number in range(count)]

    return by_language(task, {"train": rows(80, 5000), "test": rows(DRAWN + 100 if task.name in MANY else 24, 0)})


def clustered(task):
    size = DRAWN + 100 if task.name in MANY else 120
    labels = [
        f"a.{LABELS[number % 4]}" if task.name.startswith("ArXiv") else LABELS[number % 4] for number in range(size)
    ]
    rows = [{"sentences": text(number), "labels": label} for number, label in enumerate(labels)]
    if task.name in FLAT:
        return {"default": {"test": rows}}
    halves = (rows[: size // 2], rows[size // 2 :])
    return {"default": {"test": [{key: [row[key] for row in half] for key in half[0]} for half in halves]}}


def pairs_with_scores(task):
    pairs = [
        {"sentence1": text(number), "sentence2": text(number + number % 5), "score": 5.0 - number % 5}
        for number in range(20)
    ]
    return by_language(task, {"test": pairs})


def pairs_with_labels(task):
    numbers = range(24)
    columns = {
        "sent1": [text(number) for number in numbers], "sent2": [text(number + number % 3) for number in numbers],
        "labels": [int(number % 3 == 0) for number in numbers],
    }  # fmt: skip
    return {"default": {"test": [columns]}}


def summarised(task):
    rows = [
        {
            "text": text(number), "human_summaries": [text(number), text(number + 1)],
            "machine_summaries": [text(number + step) for step in range(4)], "relevance": [4.0, 3.0, 2.0, 1.0],
        }
        for number in range(6)
    ]  # fmt: skip
    return {"default": {"test": rows}}
