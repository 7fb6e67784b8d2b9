"""What each job takes: memory and processor time from measured growth curves and the rows of its tables.

The rules ask Slurm for what follows from here (`Sizes.ask`), and `f2llm estimate` prints the same figures. Every
constant was measured on one thread of a Xeon with AMX (docs/benchmarks.md; manifests of the embedded default); rates of
GPUs are assumptions.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from f2llm.config.geometry import STATE_BYTES, activation_bytes, forward_flops, training_flops, weights
from f2llm.config.models import Geometry, Model
from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.estimate.counts import TOKEN_BYTES, Counts, Rows
from f2llm.estimate.shares import embed_jobs, mine_jobs

# Python with pyarrow and this library; with torch and transformers; with mteb on top.
LIGHT_MB, TORCH_MB, MTEB_MB = 220, 520, 740
LIGHT_SECONDS, TORCH_SECONDS, MTEB_SECONDS = 1.0, 5.0, 14.0
# GFLOP/s of one thread: encoding and training, with bfloat16 in hardware and without.
ENCODE_GFLOPS = {True: 250.0, False: 60.0}
TRAIN_GFLOPS = {True: 60.0, False: 35.0}
SEARCH_GFLOPS, SEARCH_SECONDS_A_QUERY = 75.0, 2.5e-4
# TFLOP/s that a GPU is taken to reach: 45 % of the dense bfloat16 rate measured of an H200-class card.
GPU_TFLOPS = 790.0 * 0.45
# Of a text of an evaluation task of mteb, before it is cut.
TASK_TOKENS = 200.0
# Vectors of a scored task in memory: in the store's order, in that of the task, and in mteb's own copy.
VECTOR_COPIES = 3
# Adapters that parse programs: seconds a MB of files.
PARSING = {"python_functions": 1.1, "python_modules": 1.1}
# Memory of a training step on a CPU over what its activations hold: the allocator's gaps, gradients in flight.
CPU_ACTIVATIONS = 3.8
# A CUDA context and its libraries, a process.
CUDA_MB = 3000
# Where no count is known: what the largest embedded source takes many times over.
UNKNOWN_MB, UNKNOWN_SECONDS = 4000, 4 * 3600.0
# What Slurm is asked for: more than expected, since nodes differ and a killed job costs a whole attempt.
SNAKEMAKE_MB, MEMORY_MARGIN, TIME_MARGIN, LEAST_MINUTES, STEP_MB = 500, 1.3, 4.0, 15, 100
# Around the trainer: the job's script, torchrun, srun.
LAUNCHERS_MB = 600
MB, GIGA = 1e6, 1e9
EIGHTY_PERCENT = 4  # threads beyond which the search reads faster than memory gives


class Cost(NamedTuple):
    """Peak memory of a job in MB of 2**20 bytes, processor seconds of it, and the threads that share these."""

    memory_mb: float
    seconds: float
    threads: int = 1
    known: bool = True  # False: no count of its rows, so room for a large source


UNKNOWN = Cost(UNKNOWN_MB, UNKNOWN_SECONDS, known=False)


class Ask(NamedTuple):
    """What Slurm is asked for at the first attempt."""

    memory_mb: int
    minutes: int
    cpus: int


class Sizes:
    """Costs of the jobs of a run, by rule and wildcards."""

    def __init__(self, counts: Counts, *, bfloat16: bool = True, gpu_tflops: float | None = None) -> None:
        """Use rates of a CPU with or without bfloat16, or of a GPU that reaches `gpu_tflops`."""
        self.run: Run = counts.run
        self._counts, self._bfloat16, self._gpu = counts, bfloat16, gpu_tflops
        self._costs: dict[tuple[str, str, tuple[int, ...]], Cost] = {}
        self._sources = {source.name: source for source in counts.run.stanzas}

    def ask(self, rule: str, unit: Mapping[str, str]) -> Ask:
        """Return what Slurm is asked for."""
        return asked(self.cost(rule, unit), around_mb=SNAKEMAKE_MB + (LAUNCHERS_MB if rule == "train_model" else 0))

    def cost(self, rule: str, unit: Mapping[str, str]) -> Cost:
        """Return what a job of `rule` takes; rules without a curve take what a job that moves small tables takes."""
        source = self._sources.get(unit.get("source", ""))
        made = getattr(self, f"_{rule}", None)
        if source is not None and made is not None:
            # Asked three times for each of many parts of a source.
            key = (rule, source.name, self._counts.stamps(source))
            if key not in self._costs:
                self._costs[key] = made(source)
            return self._costs[key]
        if rule in ("find_shared", "check_splits"):
            return self._across()
        return {"plan_run": self._plan, "train_model": self.training}.get(rule, _light)()

    def encoding(self, model: Model, *, texts: float, tokens: float, mteb: bool = False) -> Cost:
        """Return what encoding texts of so many tokens in all takes."""
        geometry = self._counts.geometry(model)
        memory, seconds = (MTEB_MB, MTEB_SECONDS) if mteb else (TORCH_MB, TORCH_SECONDS)
        if geometry is None:
            return UNKNOWN
        flops = forward_flops(geometry, tokens=tokens, mean_length=tokens / max(1.0, texts))
        weights_mb = 4 * weights(geometry) / MB
        return Cost(memory + 1.6 * weights_mb + self._context(), seconds + flops / self._rate(ENCODE_GFLOPS))

    def scoring(self, model: Model, *, texts: float, encoded: float | None = None) -> Cost:
        """Return what scoring a model on tasks of so many texts takes, of which it encodes `encoded` (None: all)."""
        geometry = self._counts.geometry(model)
        length = min(TASK_TOKENS, 0.75 * self.run.evaluate.max_length)
        encoded = texts if encoded is None else encoded
        cost = self.encoding(model, texts=encoded, tokens=encoded * length, mteb=True)
        vectors_mb = VECTOR_COPIES * 4 * geometry.hidden * texts / MB if geometry else 0.0
        return cost._replace(memory_mb=cost.memory_mb + vectors_mb)

    def training(self) -> Cost:
        """Return what the training takes: memory of a node, processor time of all its processes."""
        run, geometry = self.run, self._counts.geometry(self.run.backbone)
        train, tuples = run.train, self.tuples()
        if geometry is None or not tuples:
            memory = max(UNKNOWN_MB, CUDA_MB * train.processes)
            return Cost(memory, 24 * 3600.0, train.threads * train.processes, known=False)
        seen = tuples * train.epochs if train.epochs else (train.steps or 0) * train.batch_size * train.batches_per_step
        tokens = seen * self.tuple_tokens()
        flops = training_flops(geometry, tokens=tokens, mean_length=self.tuple_tokens() / (2 + train.negatives))
        seconds = TORCH_SECONDS * train.processes + flops / self._rate(TRAIN_GFLOPS)
        world = train.processes * train.nodes
        whole = self._weights_mb(geometry)
        if self._gpu:
            memory = train.processes * (CUDA_MB + 2 * 4 * whole)
        else:
            step = train.batch_size * train.batches_per_step * self.tuple_tokens() / world
            kept = min(step, train.tokens_per_chunk) * activation_bytes(geometry, precision="bfloat16") / MB
            memory = train.processes * (TORCH_MB + STATE_BYTES * whole + CPU_ACTIVATIONS * kept)
        return Cost(memory, seconds, train.threads * train.processes)

    def tuples(self) -> int:
        """Return the tuples that are trained on, 0 where no source's are known."""
        found = [self._counts.tuples(source) for source in self.run.sources]
        held = 1 - self.run.train.validation.share
        return round(sum(rows.queries for rows in found if rows) * held)

    def tuple_tokens(self) -> float:
        """Return the mean tokens of query, positive and drawn negatives: from sizes of texts, cut as the run says."""
        weighed = total = 0.0
        for source in self.run.sources:
            rows = self._counts.tuples(source)
            if rows:
                query, passage = self._lengths(source)
                negatives = (
                    min(self.run.train.negatives, 1) if source.task == "classification" else self.run.train.negatives
                )
                limits = self.run.tokens
                weighed += rows.queries * (
                    min(query, limits.query_max_length) + (1 + negatives) * min(passage, limits.passage_max_length)
                )
                total += rows.queries
        return weighed / total if total else 0.0

    def _lengths(self, source: Source) -> tuple[float, float]:
        """Return the mean tokens of a query with its instruction, and of a passage."""
        expected, instruction = source.expected, 8 + len(source.instruction) / TOKEN_BYTES
        if expected.query_tokens and expected.passage_tokens:
            return expected.query_tokens, expected.passage_tokens
        rows = self._counts.curated(source)
        if rows is None:
            return 30.0 + instruction, 150.0
        query, passage = rows.query_mb / max(1, rows.queries), rows.passage_mb / max(1, rows.passages)
        return query * MB / TOKEN_BYTES + instruction, (passage or query) * MB / TOKEN_BYTES

    def _text_tokens(self, source: Source, rows: Rows) -> float:
        pairs = ((rows.queries, rows.query_mb), (rows.passages, rows.passage_mb))
        return sum(min(mb * MB / TOKEN_BYTES, count * self.run.mine.max_length) for count, mb in pairs)

    def _normalise_source(self, source: Source) -> Cost:
        rows, raw = self._counts.normalised(source), self._counts.raw_mb(source)
        if rows is None:
            return UNKNOWN
        seconds = LIGHT_SECONDS + 7.2e-5 * rows.texts + PARSING.get(source.adapter, 0.0) * (raw or 0.0)
        return Cost(LIGHT_MB + min(400, 0.9e-3 * rows.texts), seconds)

    def _curate_source(self, source: Source) -> Cost:
        rows = self._counts.normalised(source)
        if rows is None:
            return Cost(self.run.curate.memory_mb + 1000, UNKNOWN_SECONDS, known=False)
        seconds = LIGHT_SECONDS + 0.33 * rows.text_mb * max(1.0, rows.text_mb / 10) ** 0.23
        return Cost(max(245 + 30 * math.sqrt(rows.text_mb), 330 + 0.7e-3 * rows.passages), seconds)

    def _embed_source(self, source: Source) -> Cost:
        return self._embed_part(source) if embed_jobs(source, self.run.mine) == 1 else _light()

    def _embed_part(self, source: Source) -> Cost:
        rows = self._counts.curated(source)
        if source.ready or source.task != "retrieval":
            return _light()
        if rows is None:
            return UNKNOWN
        jobs = embed_jobs(source, self.run.mine)
        texts = rows.texts / jobs
        return self.encoding(self.run.retriever, texts=texts, tokens=self._text_tokens(source, rows) / jobs)

    def _mine_source(self, source: Source) -> Cost:
        return self._mine_part(source) if mine_jobs(source, self.run.mine) == 1 else _light()

    def _mine_part(self, source: Source) -> Cost:
        rows = self._counts.curated(source)
        if source.ready or source.task != "retrieval":
            return _light()
        geometry = self._counts.geometry(self.run.retriever)
        if rows is None or geometry is None:
            return UNKNOWN
        queries = rows.queries / mine_jobs(source, self.run.mine)
        flops = 2.0 * queries * rows.passages * geometry.hidden
        rate = self._gpu * 1e12 if self._gpu else SEARCH_GFLOPS * GIGA
        seconds = LIGHT_SECONDS + flops / rate + queries * SEARCH_SECONDS_A_QUERY
        threads = 1 if self._gpu or seconds < 600 else EIGHTY_PERCENT
        memory = LIGHT_MB + min(260, 0.02 * queries) + 4e-5 * rows.passages * 4 + self._context()
        return Cost(memory, seconds, threads)

    def _tokenise_source(self, source: Source) -> Cost:
        rows = self._counts.curated(source)
        return Cost(LIGHT_MB + 80, LIGHT_SECONDS + 0.7 * rows.text_mb) if rows else UNKNOWN

    def _across(self) -> Cost:
        rows = [self._counts.curated(source) for source in self.run.sources]
        known = sum(one.texts for one in rows if one)
        return Cost(min(self.run.curate.memory_mb, 30 + 1e-3 * known) + LIGHT_MB, LIGHT_SECONDS + 3e-5 * known)

    def _plan(self) -> Cost:
        train, tuples = self.run.train, self.tuples()
        rows = tuples * train.epochs if train.epochs else (train.steps or 0) * train.batch_size * train.batches_per_step
        return Cost(LIGHT_MB + 80 + 2e-4 * (rows + tuples), LIGHT_SECONDS + 2e-5 * (rows + tuples))

    def _weights_mb(self, geometry: Geometry) -> float:
        return weights(geometry) / MB

    def _context(self) -> float:
        return CUDA_MB if self._gpu else 0.0

    def _rate(self, gflops: Mapping[bool, float]) -> float:
        return self._gpu * 1e12 if self._gpu else gflops[self._bfloat16] * GIGA


def asked(cost: Cost, *, around_mb: float = SNAKEMAKE_MB) -> Ask:
    """Return what Slurm is asked for on behalf of a job that takes `cost`, with Snakemake's own process around it."""
    memory = math.ceil((cost.memory_mb * MEMORY_MARGIN + around_mb) / STEP_MB) * STEP_MB
    minutes = math.ceil(cost.seconds * TIME_MARGIN / cost.threads / 60)
    return Ask(memory, max(LEAST_MINUTES, minutes), cost.threads)


def _light() -> Cost:
    return Cost(LIGHT_MB + 60, LIGHT_SECONDS)
