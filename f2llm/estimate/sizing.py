"""What each job takes: memory and processor time from measured growth curves and the rows of its tables.

The rules ask Slurm for what follows from here (`Sizes.request`), and `f2llm estimate` prints the same figures.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from f2llm.config.geometry import activation_bytes, forward_flops, state_bytes, training_flops, weights
from f2llm.config.models import Model
from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.estimate import rates
from f2llm.estimate.counts import PASSAGE_TOKENS, QUERY_TOKENS, TOKEN_BYTES, ExpectedRows, SourceRows, TrainingWork
from f2llm.estimate.job_shares import embed_jobs, mine_jobs

# Tokens of a text of an evaluation task of mteb, before it is cut.
TASK_TOKENS = 200.0
# Tokens of the template around an instruction.
TEMPLATE_TOKENS = 8
MB, GIGA, TERA = 1e6, 1e9, 1e12


class Cost(NamedTuple):
    """Peak memory of a job in MB of 2**20 bytes, its processor seconds, and the threads that share these."""

    memory_mb: float
    seconds: float
    threads: int = 1
    known: bool = True  # False: no count of its rows, so room for a large source


UNKNOWN = Cost(rates.UNKNOWN_MB, rates.UNKNOWN_SECONDS, known=False)
LIGHT = Cost(rates.LIGHT_MB + rates.TABLES_MB, rates.LIGHT_SECONDS)


class Request(NamedTuple):
    """What Slurm is asked for at the first attempt."""

    memory_mb: int
    minutes: int
    cpus: int


class Search(NamedTuple):
    """An exact search for the queries of one source, in all its jobs."""

    source: str
    queries: int
    passages: int
    jobs: int
    flops: float


class Sizes:
    """Costs of the jobs of a run, by rule and wildcards."""

    def __init__(self, expected: ExpectedRows, *, bfloat16: bool = True, gpu_tflops: float | None = None) -> None:
        """Use rates of a CPU with or without bfloat16, or of a GPU that reaches `gpu_tflops`."""
        self.run: Run = expected.run
        self.expected, self._bfloat16, self._gpu = expected, bfloat16, gpu_tflops
        self._costs: dict[tuple[str, str, tuple[int, ...]], Cost] = {}
        self._sources = {source.name: source for source in expected.run.stanzas}

    def request(self, rule: str, unit: Mapping[str, str]) -> Request:
        """What Slurm is asked for on behalf of a job of `rule` whose wildcards are `unit`."""
        around_mb = rates.SNAKEMAKE_MB + (rates.LAUNCHERS_MB if rule == "train_model" else 0)
        return request_for(self.cost(rule, unit), around_mb=around_mb)

    def cost(self, rule: str, unit: Mapping[str, str]) -> Cost:
        """What a job of `rule` takes whose wildcards are `unit`.

        Raises:
            KeyError: there is no curve for this rule, or no such source.
        """
        if rule in RUN_COSTS:
            return RUN_COSTS[rule](self)
        # Kept, since it is asked for three times for each of many parts of a source.
        source = self._sources[unit["source"]]
        key = (rule, source.name, self.expected.stamps(source))
        if key not in self._costs:
            self._costs[key] = SOURCE_COSTS[rule](self, source)
        return self._costs[key]

    def encoding(self, model: Model, *, texts: float, tokens: float, mteb: bool = False) -> Cost:
        """What it takes to encode texts of together `tokens` tokens."""
        geometry = self.expected.geometry(model)
        if geometry is None:
            return UNKNOWN
        memory, seconds = (rates.MTEB_MB, rates.MTEB_SECONDS) if mteb else (rates.TORCH_MB, rates.TORCH_SECONDS)
        flops = forward_flops(geometry, tokens=tokens, mean_length=tokens / max(1.0, texts))
        weights_mb = 4 * weights(geometry) / MB
        return Cost(
            memory + 1.6 * weights_mb + self._context_mb,
            seconds + flops / self._rate(rates.ENCODE_GFLOPS[self._bfloat16]),
        )

    def scoring(self, model: Model, *, texts: float, encoded: float | None = None) -> Cost:
        """What it takes to score a model on tasks of `texts` texts, of which the job encodes `encoded` (None: all)."""
        geometry = self.expected.geometry(model)
        length = min(TASK_TOKENS, 0.75 * self.run.evaluate.max_length)
        encoded = texts if encoded is None else encoded
        cost = self.encoding(model, texts=encoded, tokens=encoded * length, mteb=True)
        vectors_mb = rates.VECTOR_COPIES * 4 * geometry.hidden * texts / MB if geometry else 0.0
        return cost._replace(memory_mb=cost.memory_mb + vectors_mb)

    def training(self) -> Cost:
        """What the training takes: memory of a node, processor time of all its processes."""
        geometry, train, work = self.expected.geometry(self.run.backbone), self.run.train, self.training_work()
        threads = train.threads * train.processes
        if geometry is None or work is None:
            memory = max(rates.UNKNOWN_MB, rates.CUDA_MB * train.processes)
            return Cost(memory, rates.UNKNOWN_TRAINING_SECONDS, threads, known=False)
        length = work.tokens / (work.rows * (2 + train.negatives))
        flops = training_flops(geometry, tokens=work.tokens, mean_length=length)
        seconds = rates.TORCH_SECONDS * train.processes + flops / self._rate(rates.TRAIN_GFLOPS[self._bfloat16])
        if self._gpu:
            process_mb = rates.CUDA_MB + 2 * 4 * weights(geometry) / MB
        else:
            world = train.processes * train.nodes
            step_tokens = work.tokens / work.rows * train.batch_size * train.batches_per_step / world
            kept = min(step_tokens, train.tokens_per_chunk) * activation_bytes(geometry, precision="bfloat16") / MB
            process_mb = rates.TORCH_MB + state_bytes(geometry, processes=world) / MB + rates.CPU_ACTIVATIONS * kept
        return Cost(train.processes * process_mb, seconds, threads)

    def training_work(self) -> TrainingWork | None:
        """Steps, tuples and tokens of the training, of the plan once there is one; None where no rows are known."""
        if plan := self.expected.plan():
            return plan
        train, trained = self.run.train, self._trained()
        if not sum(trained):
            return None
        # A batch holds tuples of one source.
        batches = sum(math.ceil(tuples / train.batch_size) for tuples in trained)
        steps = train.steps or math.ceil(batches * (train.epochs or 0) / train.batches_per_step)
        rows = sum(trained) * train.epochs if train.epochs else steps * train.batch_size * train.batches_per_step
        return TrainingWork(steps, rows, rows * self.tuple_tokens())

    def tuples(self) -> int:
        """Number of tuples that are trained on, 0 where no source's are known."""
        return sum(self._trained())

    def tuple_tokens(self) -> float:
        """Mean tokens of query, positive and drawn negatives: from sizes of texts, cut as the run says."""
        limits, tokens, tuples = self.run.tokens, 0.0, 0
        for source in self.run.sources:
            if rows := self.expected.tuples(source):
                query, passage = self._lengths(source)
                # A binary class has one other label text.
                negatives = min(self.run.train.negatives, 1 if source.task == "classification" else math.inf)
                passages = (1 + negatives) * min(passage, limits.passage_max_length)
                tokens += rows.queries * (min(query, limits.query_max_length) + passages)
                tuples += rows.queries
        return tokens / tuples if tuples else 0.0

    def embedding_seconds(self) -> float:
        """Processor time of all jobs that encode texts for the search, of sources whose rows are known."""
        searched = [source for source in self.run.sources if source.searched]
        costs = [(self._embed_part(source), embed_jobs(source, self.run.mine)) for source in searched]
        return sum(cost.seconds * jobs for cost, jobs in costs if cost.known)

    def searches(self) -> list[Search]:
        """Searches of all sources whose rows are known, the largest first; none for a retriever of unknown width."""
        searches = [self._search(source) for source in self.run.sources if source.searched]
        return sorted(filter(None, searches), key=lambda search: -search.flops)

    def search_seconds(self, *, queries: float, flops: float) -> float:
        """Seconds of one thread, or of the GPU, for a search of `queries` queries."""
        return flops / self._rate(rates.SEARCH_GFLOPS) + queries * rates.SEARCH_SECONDS_A_QUERY

    def _search(self, source: Source) -> Search | None:
        rows, width = self.expected.curated(source), self.expected.width(self.run.retriever)
        if not rows or not width:
            return None
        jobs = mine_jobs(source, self.run.mine)
        return Search(source.name, rows.queries, rows.passages, jobs, 2.0 * rows.queries * rows.passages * width)

    def _trained(self) -> list[int]:
        rows = [self.expected.tuples(source) for source in self.run.sources]
        share = 1 - self.run.train.validation.share
        return [round(source_rows.queries * share) for source_rows in rows if source_rows]

    def _lengths(self, source: Source) -> tuple[float, float]:
        """Mean tokens of a query with its instruction, and of a passage."""
        stated, instruction = source.expected, TEMPLATE_TOKENS + len(source.instruction) / TOKEN_BYTES
        if stated.query_tokens and stated.passage_tokens:
            return stated.query_tokens, stated.passage_tokens
        rows = self.expected.curated(source)
        if rows is None:
            return QUERY_TOKENS + instruction, PASSAGE_TOKENS
        query, passage = rows.query_mb / max(1, rows.queries), rows.passage_mb / max(1, rows.passages)
        return query * MB / TOKEN_BYTES + instruction, (passage or query) * MB / TOKEN_BYTES

    def _text_tokens(self, rows: SourceRows) -> float:
        """Tokens of all queries and passages of a source, as the retriever reads them."""
        pairs = ((rows.queries, rows.query_mb), (rows.passages, rows.passage_mb))
        return sum(min(mb * MB / TOKEN_BYTES, count * self.run.mine.max_length) for count, mb in pairs)

    def _normalise_source(self, source: Source) -> Cost:
        rows, raw = self.expected.normalised(source), self.expected.raw_mb(source)
        if rows is None:
            return UNKNOWN
        seconds = rates.LIGHT_SECONDS + 7.2e-5 * rows.texts + rates.PARSING.get(source.adapter, 0.0) * (raw or 0.0)
        return Cost(rates.LIGHT_MB + min(400, 0.9e-3 * rows.texts), seconds)

    def _curate_source(self, source: Source) -> Cost:
        rows = self.expected.normalised(source)
        if rows is None:
            return Cost(self.run.curate.memory_mb + 1000, rates.UNKNOWN_SECONDS, known=False)
        seconds = rates.LIGHT_SECONDS + 0.33 * rows.text_mb * max(1.0, rows.text_mb / 10) ** 0.23
        return Cost(max(245 + 30 * math.sqrt(rows.text_mb), 330 + 0.7e-3 * rows.passages), seconds)

    def _embed_source(self, source: Source) -> Cost:
        return self._embed_part(source) if embed_jobs(source, self.run.mine) == 1 else LIGHT

    def _embed_part(self, source: Source) -> Cost:
        rows = self.expected.curated(source)
        if not source.searched:
            return LIGHT
        if rows is None:
            return UNKNOWN
        jobs = embed_jobs(source, self.run.mine)
        return self.encoding(self.run.retriever, texts=rows.texts / jobs, tokens=self._text_tokens(rows) / jobs)

    def _mine_source(self, source: Source) -> Cost:
        return self._mine_part(source) if mine_jobs(source, self.run.mine) == 1 else LIGHT

    def _mine_part(self, source: Source) -> Cost:
        if not source.searched:
            return LIGHT
        search = self._search(source)
        if search is None:
            return UNKNOWN
        queries = search.queries / search.jobs
        seconds = rates.LIGHT_SECONDS + self.search_seconds(queries=queries, flops=search.flops / search.jobs)
        threads = 1 if self._gpu or seconds < rates.THREADED_SEARCH_SECONDS else rates.SEARCH_THREADS
        memory = rates.LIGHT_MB + min(260, 0.02 * queries) + 4e-5 * search.passages * 4 + self._context_mb
        return Cost(memory, seconds, threads)

    def _tokenise_source(self, source: Source) -> Cost:
        rows = self.expected.curated(source)
        return Cost(rates.LIGHT_MB + 80, rates.LIGHT_SECONDS + 0.7 * rows.text_mb) if rows else UNKNOWN

    def _across_sources(self) -> Cost:
        rows = [self.expected.curated(source) for source in self.run.sources]
        texts = sum(source_rows.texts for source_rows in rows if source_rows)
        memory = rates.LIGHT_MB + min(self.run.curate.memory_mb, 30 + 1e-3 * texts)
        return Cost(memory, rates.LIGHT_SECONDS + 3e-5 * texts)

    def _plan_run(self) -> Cost:
        work = self.training_work()
        rows = self.tuples() + (work.rows if work else 0)
        return Cost(rates.LIGHT_MB + 80 + 2e-4 * rows, rates.LIGHT_SECONDS + 2e-5 * rows)

    @property
    def _context_mb(self) -> float:
        return rates.CUDA_MB if self._gpu else 0.0

    def _rate(self, gflops: float) -> float:
        """Operations in a second: of the GPU, else of a thread that reaches `gflops`."""
        return self._gpu * TERA if self._gpu else gflops * GIGA


# The rules whose jobs ask for what follows from a curve; the others state their memory and time themselves.
SOURCE_COSTS: dict[str, Callable[[Sizes, Source], Cost]] = {
    "normalise_source": Sizes._normalise_source,
    "curate_source": Sizes._curate_source,
    "embed_source": Sizes._embed_source,
    "embed_part": Sizes._embed_part,
    "mine_source": Sizes._mine_source,
    "mine_part": Sizes._mine_part,
    "tokenise_source": Sizes._tokenise_source,
}
RUN_COSTS: dict[str, Callable[[Sizes], Cost]] = {
    "check_splits": Sizes._across_sources,
    "find_shared": Sizes._across_sources,
    "plan_run": Sizes._plan_run,
    "train_model": Sizes.training,
}


def request_for(cost: Cost, *, around_mb: float = rates.SNAKEMAKE_MB) -> Request:
    """What Slurm is asked for on behalf of a job that takes `cost`, with Snakemake's own process around it."""
    memory = math.ceil((cost.memory_mb * rates.MEMORY_MARGIN + around_mb) / rates.STEP_MB) * rates.STEP_MB
    minutes = math.ceil(cost.seconds * rates.TIME_MARGIN / cost.threads / 60)
    return Request(memory, max(rates.LEAST_MINUTES, minutes), cost.threads)
