"""Dealing sequences to processes and chunks."""

import math

from hypothesis import example, given
from hypothesis import strategies as st

from f2llm.models.packing import deal

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=60)


@given(LENGTHS, st.integers(1, 4), st.integers(64, 400))
def test_every_sequence_is_dealt_once_and_all_processes_get_equally_many_chunks(lengths, processes, budget):
    dealt = deal(lengths, processes=processes, tokens_per_chunk=budget)
    assert len(dealt) == processes
    (chunks,) = {len(chunks) for chunks in dealt}
    assert chunks >= max(1, math.ceil(sum(lengths) / (processes * budget)))
    assert sorted(place for chunks in dealt for chunk in chunks for place in chunk) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 4), st.integers(64, 400))
@example([1024] * 25, 1, 1500)
def test_no_chunk_is_heavier_than_the_budget_or_the_longest_sequence(lengths, processes, budget):
    dealt = deal(lengths, processes=processes, tokens_per_chunk=budget)
    loads = [sum(lengths[place] for place in chunk) for chunks in dealt for chunk in chunks]
    assert max(loads) <= max(budget, *lengths)


@given(LENGTHS, st.integers(1, 4), st.integers(64, 400))
def test_loads_differ_by_at_most_the_longest_sequence(lengths, processes, budget):
    dealt = deal(lengths, processes=processes, tokens_per_chunk=budget)
    loads = [sum(lengths[place] for place in chunk) for chunks in dealt for chunk in chunks]
    assert max(loads) - min(loads) <= max(lengths)


def test_a_batch_within_the_budget_is_one_chunk_and_a_token_more_makes_two():
    assert len(deal([40, 24], processes=1, tokens_per_chunk=64)[0]) == 1
    assert len(deal([40, 25], processes=1, tokens_per_chunk=64)[0]) == 2


def test_the_longest_goes_first_into_the_lightest():
    assert deal([5, 9, 5, 1], processes=2, tokens_per_chunk=64) == [[[1, 3]], [[0, 2]]]
