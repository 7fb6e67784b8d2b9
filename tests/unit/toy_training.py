"""A tiny random backbone and literal tables, made into a planned run in one folder."""

import dataclasses
from pathlib import Path

import pyarrow as pa

from f2llm.config.build import build
from f2llm.config.check import load_schema, with_defaults
from f2llm.config.train import TrainedModel, with_recipe
from f2llm.plan.plan import plan_run
from f2llm.plan.tokenise import tokenise_source
from f2llm.records.ids import doc_id, query_id, tuple_id
from f2llm.records.schemas.mine import TUPLES
from f2llm.records.schemas.sources import CORPUS, QUERIES
from f2llm.records.tables import write_table
from f2llm.runs.run_file import Settings

LICENCE = {"id": "CC0-1.0", "commercial": "yes", "note": ""}
PROMPT = "Instruct: {instruction}\nQuery: "
WORDS = (
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
SOURCES = {"pairs": "retrieval", "kinds": "classification", "topics": "clustering"}
TRAIN = {
    "steps": 4, "batch_size": 4, "negatives": 2, "learning_rate": 0.01, "warmup_steps": 1, "min_lr_ratio": 0.1,
    "precision": "float32", "checkpoint_every": 2, "threads": 1,
}  # fmt: skip


def model_stanza(**changes):
    keys = {
        "name": "tiny", "format": "folder", "pooling": "last", "append_eos": True, "query_prompt": PROMPT, "passage_prompt": "",
        "licence": LICENCE, "reference": "made up",
    } | changes  # fmt: skip
    return {key: keys[key] for key in [field.name for field in dataclasses.fields(TrainedModel)]}


def retriever_stanza():
    return {"name": "retriever", "format": "folder", "pooling": "mean", "query_prompt": PROMPT, "passage_prompt": ""}


def source_stanza(name, task):
    return {
        "name": name, "task": task, "ready": False, "instruction": f"Solve {name}.", "licence": LICENCE,
        "reference": "made | up",
    }  # fmt: skip


def settings(*, sources=SOURCES, seed=0, backbone=None, **train):
    schema = load_schema("config")["properties"]
    mine = {"max_length": 16, "window": 60, "skip": 1, "max_score": 2.0, "relative_margin": 0.0, "negatives": 3}
    content = {
        "run": "toy", "seed": seed, "sources": [source_stanza(name, task) for name, task in sources.items()],
        "backbone": backbone or model_stanza(), "retriever": retriever_stanza(),
        "curate": with_defaults({}, schema["curate"]),
        "barred": [], "mine": with_defaults(mine, schema["mine"]), "tokens": {"query_max_length": 40, "passage_max_length": 12}, "train": train_settings(**train),
    }  # fmt: skip
    return build(Settings, content)


def train_settings(**changes):
    """Return settings of `train` with the defaults of the schema, as a run has them."""
    if "epochs" in changes:
        changes = {"steps": None} | changes
    return with_defaults(with_recipe(TRAIN | changes), load_schema("config")["properties"]["train"])


def write_backbone(folder, *, eos=True):
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<eos>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator([f"the {word} number is here" for word in WORDS], trainer)
    if eos:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 0)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>", padding_side="right"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, eos_token_id=0, pad_token_id=1, bos_token_id=0,
        initializer_range=0.3,  # so that vectors of different texts are far apart and rounding stays small
    )  # fmt: skip
    LlamaModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return Path(folder)


def write_curated(folder, *, passages, queries):
    """Write corpus and queries; `queries` are (text, positions of its positives in `passages`)."""
    ids = sorted((doc_id(text), text) for text in passages)
    corpus = [{"doc_id": found, "text": text, "content_key": "0" * 32} for found, text in ids]
    rows = [
        {
            "query_id": query_id("retrieval", text), "text": text, "label": None, "grade": None, "group": text,
            "positives": sorted(doc_id(passages[place]) for place in places), "negatives": [], "split": "train",
        }
        for text, places in queries
    ]  # fmt: skip
    rows.sort(key=lambda row: row["query_id"])
    write_table(folder / "corpus.parquet", schema=CORPUS, rows=[pa.Table.from_pylist(corpus, schema=CORPUS)])
    write_table(folder / "queries.parquet", schema=QUERIES, rows=[pa.Table.from_pylist(rows, schema=QUERIES)])
    return corpus, rows


def write_tuples(path, *, name, corpus, queries, negatives, metadata=None, shuffled=False):
    """Write one tuple per query and positive; negatives are the rows after the positive's."""
    row_of = {row["doc_id"]: number for number, row in enumerate(corpus)}
    rows = []
    for number, query in enumerate(queries):
        for positive in query["positives"]:
            others = [row for row in range(len(corpus)) if corpus[row]["doc_id"] not in query["positives"]]
            start = row_of[positive] % max(1, len(others))
            chosen = (others[start:] + others[:start])[:negatives]
            rows.append(
                {
                    "tuple_id": tuple_id(name, query["query_id"], positive), "query_id": query["query_id"],
                    "query_row": number, "positive_row": row_of[positive], "positive_score": 0.5, "negative_rows": chosen,
                    "negative_scores": [None] * len(chosen), "negative_ranks": [None] * len(chosen),
                    "negative_kinds": ["drawn"] * len(chosen),
                }
            )  # fmt: skip
    rows.sort(key=lambda row: row["tuple_id"], reverse=shuffled)
    return write_table(path, schema=TUPLES, rows=[pa.Table.from_pylist(rows, schema=TUPLES)], metadata=metadata)


def toy_texts(task):
    if task == "classification":
        return ["living", "made"], [(f"the {word} {n} here", [n % 2]) for n, word in enumerate(WORDS)]
    passages = [f"the {word} number {n} is here" for n, word in enumerate(WORDS)]
    return passages, [(f"where is the {word}", [n]) for n, word in enumerate(WORDS)]


def plan_toy(folder, **changes):
    """Make tables, tokens and plan in `folder`; return the path of run.json."""
    folder, made = Path(folder), settings(**changes)
    backbone = folder / "model"
    if not backbone.exists():
        write_backbone(backbone)
    tuples, tokens = {}, {}
    for source in made.sources:
        home = folder / "tables" / source.name
        passages, queries = toy_texts(source.task)
        corpus, rows = write_curated(home, passages=passages, queries=queries)
        few = 1 if source.task == "classification" else 3
        write_tuples(home / "tuples.parquet", name=source.name, corpus=corpus, queries=rows, negatives=few)
        tokenise_source(
            corpus=home / "corpus.parquet", queries=home / "queries.parquet", tokenizer_folder=backbone,
            folder=folder / "tokens" / source.name, source=source.name, instruction=source.instruction,
            backbone=made.backbone, settings=made.tokens,
        )  # fmt: skip
        tuples[source.name] = home / "tuples.parquet"
        tokens[source.name] = folder / "tokens" / source.name / "meta.json"
    run = folder / "run" / "run.json"
    plan_run(
        tuples=tuples, tokens=tokens, backbone_folder=backbone, settings=made, variants={"tokens": "tiny-0"},
        may_skip=False, plan=run.with_name("plan.parquet"), validation=run.with_name("validation_plan.parquet"), run=run,
    )  # fmt: skip
    return run
