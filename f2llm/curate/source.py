"""Curation of one source: held-out copies, exact and near copies, evaluation texts, positives, samples.

The stages run in this order, each on what the one before has left; each removal is entered in a ledger, so rows in =
rows out + rows removed. What a row is: its number in the table sorted by id. The figures behind the rules are in
docs/curation.md.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from f2llm.config.curate import Curate
from f2llm.curate.decontaminate import EvaluationTexts
from f2llm.curate.hits import HitLog, write_hits
from f2llm.curate.ledger import Cause, Ledger
from f2llm.curate.links import Links, read_links
from f2llm.curate.near import Edges, droppable, dropping_edges, find_near
from f2llm.curate.output import Outputs, check_account, write_near, write_passages, write_queries, write_removed
from f2llm.curate.passages import Passages, comparable_key
from f2llm.curate.positives import near_links, settle_positives
from f2llm.curate.queries import NO_LABEL, Queries, held_out_queries, query_keys
from f2llm.curate.rows import Ints, Mask
from f2llm.curate.sample import beyond
from f2llm.curate.store import Store, scratch
from f2llm.records.errors import InputError
from f2llm.records.files import clear_left_overs
from f2llm.records.schemas.sources import SKIPPED, SourceTables
from f2llm.records.tables import NO_ROW, read_metadata

KEY_BYTES = 16
NO_EDGES = Edges(*(np.zeros(0, kind) for kind in (np.int64, np.int64, np.float64, "U9")))
logger = logging.getLogger(__name__)


class Scope(NamedTuple):
    """The keys of a source's stanza that curation depends on."""

    name: str
    task: str
    max_queries: int | None
    max_passages: int | None


def curate_source(
    tables: SourceTables,
    outputs: Outputs,
    *,
    evaluation_texts: str | Path,
    earlier: Mapping[str, str | Path],
    held_out: Mapping[str, str | Path],
    in_part: Sequence[str],
    source: Scope,
    settings: Curate,
    seed: int,
    threads: int = 1,
) -> dict[str, Any]:
    """Write the curated tables of one source; return the counts of the job.

    Args:
        tables: corpus and queries of the source.
        outputs: paths of the curated tables.
        evaluation_texts: the index of the evaluation texts of the run.
        earlier: curated queries.parquet by name of the sources whose queries this one shall not repeat.
        held_out: queries.parquet by name of the sources that are scored on.
        in_part: names of those of `held_out` whose train split is not scored; of the others all rows are held out.
        source: name, task and caps of the source.
        settings: policies and thresholds.
        seed: key of the samples.
        threads: of the out-of-core engine; no result depends on it.

    Raises:
        InputError: a list names a passage that is not in the corpus, or a clustering text has no passage.
    """
    clear_left_overs(Path(outputs.corpus).parent)
    with scratch(Path(outputs.corpus).parent / ".scratch", memory_mb=settings.memory_mb, threads=threads) as store:
        others = {name: path for name, path in held_out.items() if name != source.name} | {source.name: tables.queries}
        scored = held_out_queries(others, in_part={*in_part, source.name})
        curation = _Curation(tables, store=store, source=source, settings=settings, held_out=scored)
        # Equality needs only the keys in the tables, so it goes first: what it removes is never normalised.
        curation.split()
        curation.exact()
        curation.across(earlier)
        # Each text that is left is normalised once, for near copies, evaluation texts and positives.
        curation.passages.read(curation.passage_ledger.live)
        curation.near()
        # After near copies, so that copies are matched once; a copy of an evaluation text goes with its stand-in.
        curation.decontaminate(evaluation_texts)
        # The lists of the queries follow from what became of the passages.
        curation.positives()
        # Last: a sample of what may be used, as large as asked for.
        curation.sample(seed)
        return curation.write(outputs)


class _Curation:
    """The state of one source on its way through the stages."""

    def __init__(
        self, tables: SourceTables, *, store: Store, source: Scope, settings: Curate, held_out: Mapping[str, str]
    ) -> None:
        self.source, self.settings, self.store, self.held_out = source, settings, store, held_out
        self.passages = Passages(tables.corpus, store=store, where=source.name)
        self.queries = Queries(tables.queries, store=store, where=source.name)
        self.passage_ledger, self.query_ledger = Ledger(len(self.passages)), Ledger(len(self.queries))
        self.query_keys = np.zeros(len(self.queries), np.uint64)  # hashes of the comparable forms
        self.edges = NO_EDGES
        self.evaluation: EvaluationTexts | None = None
        self.passage_hits, self.query_hits = HitLog(), HitLog()
        self.skipped = read_metadata(tables.queries).get(SKIPPED, "")
        self.counts: dict[str, Any] = {}
        self.given = {
            column: read_links(self.queries.table, column, self.passages) for column in ("positives", "negatives")
        }
        self.links = dict(self.given)
        self.own_passage = self._own_passages() if source.task == "clustering" else None

    def _own_passages(self) -> Ints:
        """The passage that is the text of each query: in clustering sources queries and corpus are the same texts."""
        rows = self.passages.rows(self.queries.doc_ids())
        if (rows == NO_ROW).any():
            query = self.queries.ids[int(np.flatnonzero(rows == NO_ROW)[0])].as_py().hex()
            raise InputError(f"{self.source.name}: the text of query {query} is not in the corpus; normalise it again")
        return rows

    def _mirror(self) -> None:
        """Remove the passages of removed queries and the queries of removed passages, where both are the same texts."""
        if self.own_passage is not None:
            rows = np.arange(len(self.queries))
            self.passage_ledger.mirror(self.query_ledger, rows=self.own_passage, other_rows=rows)
            self.query_ledger.mirror(self.passage_ledger, rows=rows, other_rows=self.own_passage)

    def split(self) -> None:
        """Remove training queries that equal a held-out one; a clustering corpus keeps training texts only."""
        # numpy cuts zeros off the end of bytes; the key needs them back.
        owners = [self.held_out.get(key.ljust(KEY_BYTES, b"\0").hex()) for key in self.queries.keys]
        rows = np.array([row for row, owner in enumerate(owners) if owner is not None], np.int64)
        evidence = {int(row): f"held-out query of {owners[row]}" for row in rows}
        self.query_ledger.remove(rows, Cause.HELD_OUT_QUERY, evidence=evidence)
        if self.own_passage is not None:
            # The texts of held-out rows lie in the same corpus; as passages they would be trained on all the same.
            foreign = np.ones(len(self.passages), bool)
            foreign[self.own_passage] = False
            self.passage_ledger.remove(np.flatnonzero(foreign), Cause.NO_TRAINING_TEXT)
        self._mirror()

    def exact(self) -> None:
        """Collapse equal texts; equal texts with different labels contradict each other and go."""
        # The lowest id stays; in clustering sources that of the passage, so that both tables keep the same text.
        order = np.arange(len(self.queries)) if self.own_passage is None else self.own_passage
        first, contradicts = self.queries.equal(self.query_ledger.live, order=order)
        self.query_ledger.remove(np.flatnonzero(contradicts), Cause.CONTRADICTION)
        rows = np.flatnonzero(~contradicts & (first != np.arange(len(first))))
        self.query_ledger.remove(rows, Cause.EQUAL_TEXT, stand_in=first[rows], similarity=np.ones(len(rows)))
        self._mirror()
        # Label names of classification are never removed, and passages of clustering went with their queries.
        if self.source.task in ("retrieval", "sts"):
            live = self.passage_ledger.live
            first = self.store.equal_rows(self.passages.path, key="content_key", live=live)
            rows = np.flatnonzero(live & (first != np.arange(len(first))))
            self.passage_ledger.remove(rows, Cause.EQUAL_TEXT, stand_in=first[rows], similarity=np.ones(len(rows)))

    def across(self, earlier: Mapping[str, str | Path]) -> None:
        """Remove queries that an earlier source has; passages stay, since others are searched among them."""
        for name in sorted(earlier):
            repeated = np.isin(self.queries.keys, query_keys(earlier[name]))
            rows = np.flatnonzero(self.query_ledger.live & repeated)
            evidence = dict.fromkeys(rows.tolist(), f"query of {name}")
            self.query_ledger.remove(rows, Cause.EARLIER_SOURCE, evidence=evidence)
        self._mirror()

    def near(self) -> None:
        """Find near copies among long passages and, if that is the policy, drop them. Label texts are left alone."""
        near = self.settings.near
        if near.policy == "off" or self.source.task == "classification":
            return
        # Of two copies the positive is the better one to keep: its query then keeps the passage that it names.
        preferred = np.isin(np.arange(len(self.passages)), self._resolved("positives").passage)
        live = self.passage_ledger.live
        edges, counts = find_near(
            self.passages, eligible=live, preferred=preferred, settings=near, folder=self.store.folder
        )
        self.edges = edges
        # All edges above the report threshold serve the miner; only sure copies of one class may drop a passage.
        drops = droppable(edges, threshold=near.threshold) & self._same_label(edges)
        edge = dropping_edges(edges, drops=drops, rows=len(self.passages))
        rows = np.flatnonzero(edge != NO_ROW)
        self.counts |= counts | {"near_copies": len(rows)}
        if near.policy == "drop":
            self.passage_ledger.remove(
                rows,
                Cause.NEAR_COPY,
                stand_in=edges.left[edge[rows]],
                similarity=edges.similarity[edge[rows]],
                evidence=dict(zip(rows.tolist(), edges.kind[edge[rows]].tolist(), strict=True)),
            )
            self._mirror()

    def _same_label(self, edges: Edges) -> Mask:
        """Mask of the edges whose ends are of one class; a label tells look-alikes apart."""
        labels = np.full(len(self.passages), NO_LABEL)
        if self.own_passage is not None:
            labels[self.own_passage] = self.queries.labels
        return labels[edges.left] == labels[edges.right]

    def _resolved(self, column: str) -> Links:
        """The given links of live queries, every row replaced by what stands in for it."""
        links = self.given[column].retargeted(queries=self.query_ledger.final(), passages=self.passage_ledger.final())
        return links.where(self.query_ledger.live[links.query])

    def decontaminate(self, folder: str | Path) -> None:
        """Find evaluation texts in the queries and passages and, if that is the policy, drop those rows."""
        settings = self.settings.decontaminate
        # Also without decontamination: `positives` compares queries with passages by these keys.
        for rows, forms in self.queries.comparable(self.query_ledger.live):
            self.query_keys[rows] = [comparable_key(form) for form in forms]
        if settings.policy == "off":
            return
        self.evaluation = EvaluationTexts(folder, containment=settings.containment, min_words=settings.min_words)
        dropping = settings.policy == "drop"
        # Each text once: a clustering text is matched as a passage, a label name of classification not at all.
        if self.own_passage is None:
            parts = self.queries.comparable(self.query_ledger.live)
            self.counts["contaminated_queries"] = self.query_hits.match(
                parts, self.evaluation, ledger=self.query_ledger, dropping=dropping
            )
        if self.source.task != "classification":
            compared = self.passages.compared(np.flatnonzero(self.passage_ledger.live))
            parts = ((rows, [text.words for text in texts]) for rows, texts in compared)
            self.counts["contaminated_passages"] = self.passage_hits.match(
                parts, self.evaluation, ledger=self.passage_ledger, dropping=dropping
            )
            self._mirror()

    def positives(self) -> None:
        """Remap positives and negatives to the rows that were kept, and remove queries that have none left."""
        settled = settle_positives(
            positives=self._resolved("positives"),
            negatives=self._resolved("negatives"),
            live=self.passage_ledger.live,
            query_keys=self.query_keys,
            passage_keys=self.passages.keys,
            near=near_links(self.edges, final=self.passage_ledger.final()),
        )
        self.links = {"positives": settled.positives, "negatives": settled.negatives}
        self.counts |= settled.counts
        if self.own_passage is not None:
            return  # the miner draws the positives of clustering texts from their class
        live = self.query_ledger.live
        self.query_ledger.remove(np.flatnonzero(live & settled.never), Cause.NO_POSITIVE)
        self.query_ledger.remove(
            np.flatnonzero(live & settled.contaminated),
            Cause.POSITIVES_CONTAMINATED,
            evidence={query: self.passage_ledger.evidence[passage] for query, passage in settled.lost.items()},
        )
        self.query_ledger.remove(np.flatnonzero(live & settled.equal), Cause.EQUAL_POSITIVE)

    def sample(self, seed: int) -> None:
        """Keep at most max_queries queries and max_passages passages; what a kept query names always stays."""
        live = self.query_ledger.live
        rows = beyond(self.queries.ids, live=live, always=np.zeros_like(live), most=self.source.max_queries, seed=seed)
        self.query_ledger.remove(rows, Cause.BEYOND_MAX_QUERIES)
        if self.source.task == "classification":
            return
        # A tuple without its positive is worth nothing, so what kept queries name goes beyond any cap.
        needed = np.zeros(len(self.passages), bool)
        for links in self.links.values():
            needed[links.passage[self.query_ledger.live[links.query]]] = True
        if self.own_passage is not None:
            needed[self.own_passage[self.query_ledger.live]] = True
        live = self.passage_ledger.live
        rows = beyond(self.passages.ids, live=live, always=needed, most=self.source.max_passages, seed=seed)
        self.passage_ledger.remove(rows, Cause.BEYOND_MAX_PASSAGES)

    def write(self, outputs: Outputs) -> dict[str, Any]:
        """Write the tables and return the counts of the job."""
        passages, queries = self.passage_ledger, self.query_ledger
        kept_passages = write_passages(outputs.corpus, self.passages, passages.live)
        kept_queries = write_queries(
            outputs.queries, self.queries, queries.live, ids=self.passages.ids, skipped=self.skipped, **self.links
        )
        write_removed(outputs.removed, passages=(passages, self.passages.ids), queries=(queries, self.queries.ids))
        near = write_near(outputs.near, self.edges, live=passages.live, ids=self.passages.ids)
        hits = write_hits(
            outputs.hits,
            passages=(self.passage_hits, self.passages),
            queries=(self.query_hits, self.queries),
            evaluation=self.evaluation,
        )
        check_account(rows=len(self.passages), kept=kept_passages, ledger=passages, path=outputs.corpus)
        check_account(rows=len(self.queries), kept=kept_queries, ledger=queries, path=outputs.queries)
        self._check_links()
        return {
            "passages_in": len(self.passages),
            "passages_out": kept_passages,
            "queries_in": len(self.queries),
            "queries_out": kept_queries,
            "near_edges": near,
            "evaluation_texts_found": hits,
            "queries_held_out": self.queries.held_out,
            "removed_passages": passages.counts(),
            "removed_queries": queries.counts(),
        } | self.counts

    def _check_links(self) -> None:
        """Assert that no list of a kept query names a passage that is gone."""
        for name, links in self.links.items():
            dangling = self.query_ledger.live[links.query] & ~self.passage_ledger.live[links.passage]
            if dangling.any():
                raise AssertionError(f"{self.source.name}: {int(dangling.sum())} {name} name a removed passage")
