"""Positives and given negatives after the passages have been curated: which links stay, which queries lost them all."""

from typing import NamedTuple

import numpy as np

from f2llm.curate.links import Links
from f2llm.curate.near import Edges
from f2llm.curate.rows import Hashes, Ints, Mask, find_all


class SettledLinks(NamedTuple):
    """The links that training may use, and the queries that are left without a positive (masks by query row)."""

    positives: Links
    negatives: Links
    never: Mask  # had none to begin with
    contaminated: Mask  # all were removed with the evaluation texts
    equal: Mask  # the only one left says the same as the query
    lost: dict[int, int]  # contaminated query -> its first removed positive
    counts: dict[str, int]  # list entries dropped, by cause


def settle_positives(
    *, positives: Links, negatives: Links, live: Mask, query_keys: Hashes, passage_keys: Hashes, near: Links
) -> SettledLinks:
    """The positives and negatives that queries may keep, and the queries that lost all their positives.

    Positives go when their passage is not `live` or equals the query (`*_keys`: hashes of the
    comparable forms, by row). Negatives go for the same reasons, and when they are a positive
    of the query or near to one (`near`: passage -> near passage, both directions).
    """
    queries, passages = len(query_keys), len(live)
    # Two steps, alive and usable, because the two losses are reported apart.
    alive = positives.where(live[positives.passage])
    usable = alive.where(passage_keys[alive.passage] != query_keys[alive.query])
    removed = positives.where(~live[positives.passage])
    alive_negatives = negatives.where(live[negatives.passage])
    # A negative that is a positive, or says the same as one or as the query, would teach the opposite.
    # A join of positives with near edges: each positive is repeated for each passage near to it.
    counts, places = find_all(near.query, alive.passage)
    near_keys = np.repeat(alive.query, counts) * passages + near.passage[places]
    forbidden = np.concatenate([alive.keys(passages), near_keys])
    false = np.isin(alive_negatives.keys(passages), forbidden)
    false |= passage_keys[alive_negatives.passage] == query_keys[alive_negatives.query]
    had, has_live, has_usable = positives.has(queries), alive.has(queries), usable.has(queries)
    losers, first_removed = np.unique(removed.query, return_index=True)
    return SettledLinks(
        positives=usable,
        negatives=alive_negatives.where(~false),
        never=~had,
        contaminated=had & ~has_live,
        equal=has_live & ~has_usable,
        lost={
            int(query): int(removed.passage[link])
            for query, link in zip(losers, first_removed, strict=True)
            if not has_live[query]
        },
        counts={
            "positives_contaminated": len(removed.query),
            "positives_equal_to_query": len(alive.query) - len(usable.query),
            "negatives_contaminated": len(negatives.query) - len(alive_negatives.query),
            "negatives_false": int(false.sum()),
        },
    )


def near_links(edges: Edges, *, final: Ints) -> Links:
    """Near edges as links in both directions between the passages that stand for their ends, sorted."""
    left, right = final[edges.left], final[edges.right]
    links = np.unique(np.stack([np.concatenate([left, right]), np.concatenate([right, left])], axis=1), axis=0)
    links = links[links[:, 0] != links[:, 1]]
    return Links(links[:, 0], links[:, 1])
