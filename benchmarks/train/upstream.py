"""The authors' own training functions, loaded from a checkout of codefuse-ai/CodeFuse-Embeddings.

Taken as they are: `_stack` and `collate_fn` of run.py, `F2LLM.forward` of model.py, `hard_loss` and
`inbatch_loss` of utils.py. Not taken: what needs CUDA or DeepSpeed (constructor, Accelerator, main loop),
whose place a loop of the same order takes. run.py cannot be imported (it parses arguments and starts
training), so its functions are compiled from its syntax tree. Both published forms of the batches work:
token ids in the rows (v1) and ids of documents (later).
"""

import ast
import importlib.util
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence

from benchmarks.train.arms import CLIP_NORM, Job, Pass, load_padded, make_adamw
from benchmarks.train.token_batches import END, PAD, TokenBatch

# A name of each task's list in utils.py, since upstream knows the task of a source by its name alone.
NAMES = {"classification": "imdb", "clustering": "banking77", "retrieval": "msmarco"}
LONGEST = 1024
BATCH_FUNCTIONS = ("_stack", "get_corpus_ids", "collate_fn")


class Upstream(NamedTuple):
    """The functions of a checkout, and the documents that its rows name (None: rows hold token ids)."""

    collate: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]
    forward: Callable[..., Any]
    hard_loss: Callable[..., torch.Tensor]
    in_batch_loss: Callable[..., torch.Tensor]
    documents: list[dict[str, list[int]]] | None


class SameNumber:
    """Stands for upstream's table from document id to row: here ids are rows."""

    def __getitem__(self, number: int) -> int:
        return number


def load_upstream(path: str | Path) -> Upstream:
    """Load the functions from a checkout, or from its folder F2LLM.

    Raises:
        FileNotFoundError: model.py, utils.py or run.py is missing.
        AttributeError: one of the functions is not there under its name.
    """
    folder = Path(path, "F2LLM") if Path(path, "F2LLM").is_dir() else Path(path)
    missing = [name for name in ("model.py", "utils.py", "run.py") if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder}: {', '.join(missing)} missing; give a checkout of CodeFuse-Embeddings")
    sys.path.insert(0, str(folder))  # its modules import each other by bare names
    try:
        model, losses = _module(folder / "model.py"), _module(folder / "utils.py")
    finally:
        sys.path.remove(str(folder))
    documents: list[dict[str, list[int]]] = []
    names = {
        "torch": torch, "pad_sequence": pad_sequence, "corpus": documents, "id_to_docs": SameNumber(),
        "random": SimpleNamespace(sample=lambda population, count: list(population)[:count]),
        "tokenizer": SimpleNamespace(pad_token_id=PAD, eos_token_id=END),
        "args": SimpleNamespace(num_hard_neg=7, num_hard_neg_clustering=7, max_seq_length=LONGEST),
        "CLASSIFICATION_DATASETS": losses.CLASSIFICATION_DATASETS,
        "CLUSTERING_DATASETS": losses.CLUSTERING_DATASETS,
    }  # fmt: skip
    found = _compile_functions(folder / "run.py", names)
    by_document = documents if "get_corpus_ids" in found else None
    return Upstream(names["collate_fn"], model.F2LLM.forward, losses.hard_loss, losses.inbatch_loss, by_document)


def run_upstream(job: Job) -> Pass:
    """Train with the authors' functions, in float32 with SDPA in place of FA2, positives detached by the gather."""
    upstream, lm = load_upstream(job.upstream), load_padded(job.folder)
    lm.config.use_cache = False
    model = SimpleNamespace(lm=lm, args=SimpleNamespace(use_mll=False), mrl_enabled=False)
    optimiser = make_adamw(lm, job)
    rows = [raw_rows(batch, upstream.documents) for batch in job.batches]
    seconds, losses, computed = [], [], 0
    for batch_rows in rows:
        began = time.process_time()
        batch = upstream.collate(batch_rows)
        loss = _loss(upstream, model, batch)
        loss.backward()
        clip_grad_norm_(lm.parameters(), CLIP_NORM)
        optimiser.step()
        optimiser.zero_grad()
        seconds.append(time.process_time() - began)
        losses.append(loss.item())
        computed += batch["input_ids"].numel()
    return Pass(seconds, losses, computed, lm)


def raw_rows(batch: TokenBatch, documents: list[dict[str, list[int]]] | None) -> list[dict[str, Any]]:
    """Return the batch as rows of upstream's parquet files: lists of token ids, or ids of `documents`, which grow."""

    def passage(tokens: NDArray[np.int32]) -> list[int] | int:
        if documents is None:
            return tokens.tolist()
        documents.append({"input_ids": tokens.tolist()})
        return len(documents) - 1

    rows = []
    for query, (positive, *negatives) in zip(batch.queries, batch.candidates, strict=True):
        row = {"dataset_name": NAMES[batch.task], "query_input_ids": query.tolist()}
        row["passage_input_ids"] = passage(positive)
        row |= {f"negative_{place + 1}_input_ids": passage(tokens) for place, tokens in enumerate(negatives)}
        rows.append(row)
    return rows


def _loss(upstream: Upstream, model: SimpleNamespace, batch: Mapping[str, Any]) -> torch.Tensor:
    """Return the sum of upstream's two losses, in the order of its main loop."""
    accelerator = SimpleNamespace(gather=torch.Tensor.detach, process_index=0, num_processes=1)
    found = upstream.forward(model, batch)
    found = found[0] if isinstance(found, (tuple, list)) else found
    criterion = torch.nn.CrossEntropyLoss(reduction="none")
    query, positive = (found[f"{name}_passage_features"].squeeze(1) for name in ("query", "passage"))
    loss = upstream.hard_loss(query, positive, found["negative_passage_features"], criterion, accelerator)
    if batch["dataset_name"] == NAMES["retrieval"]:
        loss = loss + upstream.in_batch_loss(query, positive, criterion, accelerator)
    return loss


def _module(path: Path) -> ModuleType:
    """Import one file of the checkout under a name that meets no other."""
    spec = importlib.util.spec_from_file_location(f"upstream_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compile_functions(path: Path, names: dict[str, Any]) -> set[str]:
    """Define the functions of BATCH_FUNCTIONS in `names`, with these as their globals; return which were there."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in BATCH_FUNCTIONS]
    exec(compile(tree, str(path), "exec"), names)  # the code that --upstream asks for
    return {node.name for node in tree.body}
