from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f2llm.mine.select import REASONS, score_limit, select

SCORES = np.array([0.7 - 0.005 * j for j in range(60)], np.float32)
ROWS = np.arange(60)


class Query(SimpleNamespace):
    """One query: scores and rows of its candidates (-1: padding), its positive, what is excluded and given."""

    def first(self, rule):
        return [row for row in dict.fromkeys(self.given) if row not in self.exclude][: rule.negatives]

    def candidates(self, rule):
        barred, seen, out = {*self.exclude, *self.given}, set(), []
        for row in self.rows.tolist():
            out.append(row >= 0 and row not in barred and row not in seen)
            seen.add(row)
        return out


def select_all(queries, rule, draws=None):
    """Return (reason, given, mined, scores, ranks, candidates, kept) of each query, selected together."""
    width = max((len(query.rows) for query in queries), default=0)
    scores, open_ = np.full((len(queries), width), -np.inf, np.float32), np.zeros((len(queries), width), bool)
    for at, query in enumerate(queries):
        scores[at, : len(query.rows)], open_[at, : len(query.rows)] = query.scores, query.candidates(rule)
    made = select(
        scores, open_, positive_S=np.array([query.positive for query in queries], np.float32),
        given_S=np.array([len(query.first(rule)) for query in queries]),
        draw_S=np.arange(len(queries), dtype=np.uint64) if draws is None else np.array(draws, np.uint64), rule=rule,
    )  # fmt: skip
    out = []
    for at, query in enumerate(queries):
        places, reason = made.taken_column[made.taken_selection == at], REASONS[made.reason_S[at]]
        out.append(SimpleNamespace(
            reason=reason, given=tuple(query.first(rule)) if reason == "ok" else (), mined=tuple(query.rows[places].tolist()),
            scores=tuple(np.asarray(query.scores)[places].tolist()), ranks=tuple(made.taken_rank[made.taken_selection == at].tolist()),
            candidates=made.candidates_S[at], kept=made.kept_S[at],
        ))  # fmt: skip
    return out


@pytest.fixture
def chosen(rule):
    def call(scores=SCORES, rows=ROWS, *, positive=0.9, exclude=(), given=(), draw=0, **changes):
        query = Query(
            scores=np.asarray(scores, np.float32), rows=np.asarray(rows), positive=positive, exclude=set(exclude),
            given=list(given),
        )  # fmt: skip
        return select_all([query], rule(**changes), draws=[draw])[0]

    return call


def test_the_best_five_are_passed_over_and_the_next_are_taken(chosen):
    found = chosen()
    assert found.reason == "ok" and found.mined == tuple(range(5, 29))
    assert found.ranks == tuple(range(6, 30)) and found.scores == tuple(SCORES[5:29].tolist())
    assert (found.candidates, found.kept) == (60, 55)


def test_excluded_passages_take_up_no_rank(chosen):
    found = chosen(exclude={0, 7})
    assert found.mined[:3] == (6, 8, 9) and found.ranks[:3] == (6, 7, 8)


@pytest.mark.parametrize(("window", "reason"), [(28, "few_candidates"), (29, "ok")])
def test_a_window_that_holds_skip_and_negatives_is_just_enough(chosen, window, reason):
    found = chosen(window=window)
    assert found.reason == reason and found.candidates == window


def test_enough_candidates_that_do_not_pass_are_filtered_out(chosen):
    found = chosen(positive=0.4)
    assert (found.reason, found.candidates, found.kept, found.mined) == ("filtered_out", 60, 0, ())


def test_the_two_readings_of_skip_differ(chosen):
    scores = np.concatenate([np.full(10, 0.85, np.float32), SCORES[10:]])
    assert chosen(scores, positive=0.95).mined[0] == 15
    before = chosen(scores, positive=0.95, skip_order="before_filter")
    assert before.mined[0] == 10 and before.ranks[0] == 11


def test_skip_before_the_filter_ends_at_the_skip(chosen):
    assert chosen(skip_order="before_filter").mined == tuple(range(5, 29))


def test_a_score_must_be_below_max_score(chosen):
    edge = np.float32(0.8)
    assert chosen(np.full(40, edge), np.arange(40), positive=0.99).reason == "filtered_out"
    assert chosen(np.full(40, np.nextafter(edge, np.float32(0))), np.arange(40), positive=0.99).reason == "ok"


@pytest.mark.parametrize("positive", [0.6, -0.5])
def test_a_score_must_be_below_the_positive_by_the_margin(chosen, positive):
    edge = score_limit(positive, relative_margin=0.05)
    assert edge < np.float32(positive)
    assert chosen(np.full(40, edge), np.arange(40), positive=positive).reason == "filtered_out"
    below = np.nextafter(edge, np.float32(-1))
    assert chosen(np.full(40, below), np.arange(40), positive=positive).reason == "ok"


def test_the_limit_is_a_share_of_the_size_of_the_score():
    both = score_limit(np.array([0.5, -0.5]), relative_margin=0.1)
    assert both.tolist() == [np.float32(0.45), np.float32(-0.55)]


def test_a_positive_beyond_the_window_changes_the_limit_alone(chosen):
    found = chosen(positive=0.72)
    assert found.reason == "ok" and all(score < 0.72 * 0.95 for score in found.scores)


@pytest.mark.parametrize("positive", [float("nan"), float("inf")])
def test_a_positive_without_a_finite_score_rejects_the_query(chosen, positive):
    assert chosen(positive=positive).reason == "nan_positive"


def test_a_score_that_is_not_finite_rejects_the_query_inside_the_window_only(chosen):
    scores = SCORES.copy()
    scores[40] = np.nan
    assert chosen(scores).reason == "nan_score"
    assert chosen(scores, window=41).reason == "nan_score"
    assert chosen(scores, window=40).reason == "ok"
    assert chosen(scores, exclude={40}).reason == "ok"


def test_a_row_that_comes_twice_is_taken_once(chosen):
    found = chosen(np.repeat(SCORES, 2), np.repeat(ROWS, 2))
    assert found.mined == tuple(range(5, 29)) and found.candidates == 60


def test_padding_is_no_candidate(chosen):
    rows = np.where(ROWS < 30, ROWS, -1)
    assert chosen(rows=rows).candidates == 30


def test_given_negatives_come_first_without_filter_or_repeats(chosen):
    found = chosen(exclude={1}, given=[1, 40, 0, 40])
    assert found.given == (40, 0) and len(found.mined) == 22
    assert not {0, 1, 40} & set(found.mined) and found.mined[0] == 7
    assert found.ranks[0] == 6


def test_given_negatives_alone_can_be_enough(chosen):
    assert chosen(given=range(100, 130)).given == tuple(range(100, 124))
    assert chosen([], [], given=range(100, 124)).reason == "ok"
    assert chosen([], [], given=range(100, 123)).reason == "few_candidates"


def test_with_fewer_than_wanted_but_enough_the_query_is_kept(chosen):
    below = np.where(ROWS < 15, SCORES, 0.9)
    assert chosen(below[::-1], positive=0.95).reason == "filtered_out"
    found = chosen(below[::-1], positive=0.95, least_negatives=10)
    assert found.reason == "ok" and (found.kept, len(found.mined)) == (10, 10)
    assert chosen(below[::-1], positive=0.95, least_negatives=11).reason == "filtered_out"


@pytest.mark.parametrize(("count", "reason"), [(14, "few_candidates"), (15, "ok")])
def test_the_least_decides_whether_the_corpus_is_too_small(chosen, count, reason):
    assert chosen(SCORES[:count], ROWS[:count], least_negatives=10).reason == reason


def test_a_score_must_be_below_the_positive_by_the_absolute_margin(chosen):
    edge = np.float32(0.75) - np.float32(0.25)
    bounds = {"max_score": None, "relative_margin": None, "absolute_margin": 0.25}
    assert chosen(np.full(40, edge), np.arange(40), positive=0.75, **bounds).reason == "filtered_out"
    below = np.nextafter(edge, np.float32(-1))
    assert chosen(np.full(40, below), np.arange(40), positive=0.75, **bounds).reason == "ok"


def test_a_score_must_reach_min_score(chosen):
    edge = np.float32(0.3)
    assert chosen(np.full(40, edge), np.arange(40), min_score=0.3).reason == "ok"
    below = np.nextafter(edge, np.float32(-1))
    assert chosen(np.full(40, below), np.arange(40), min_score=0.3).reason == "filtered_out"


def test_an_equal_score_passes_where_the_bounds_are_not_strict(chosen):
    edge = np.full(40, 0.8, np.float32)
    assert chosen(edge, np.arange(40), positive=0.99, strict=False).reason == "ok"
    above = np.nextafter(edge, np.float32(1))
    assert chosen(above, np.arange(40), positive=0.99, strict=False).reason == "filtered_out"


def test_without_bounds_all_candidates_pass(chosen):
    assert chosen(positive=-1.0, max_score=None, relative_margin=None).mined == tuple(range(5, 29))


def test_random_sampling_draws_from_those_that_pass_by_the_key_alone(chosen):
    bounds = {"sampling": "random", "window": 40}
    one, again, other = chosen(draw=1, **bounds), chosen(draw=1, **bounds), chosen(draw=2, **bounds)
    assert one == again and one.mined != other.mined
    assert len(set(one.mined)) == 24 and set(one.mined) <= set(range(5, 40))
    assert list(one.ranks) == sorted(one.ranks) and one.mined != tuple(range(5, 29))


def test_random_sampling_takes_each_of_those_that_pass_equally_often(rule):
    query = Query(scores=SCORES[:20], rows=ROWS[:20], positive=0.9, exclude=set(), given=[])
    found = select_all([query] * 4000, rule(sampling="random", skip=0, negatives=5))
    counts = np.bincount([row for one in found for row in one.mined], minlength=20)
    assert counts.sum() == 20000 and (abs(counts - 1000) < 130).all()  # 4.7 standard deviations


def plainly(query, rule):
    """The rule word for word, one candidate at a time."""
    positive = query.positive
    if not np.isfinite(positive):
        return [], "nan_positive"
    size = np.abs(np.float32(positive))
    limit = np.float32(positive) - size * np.float32(rule.relative_margin)
    other = np.float32(positive) - np.float32(rule.absolute_margin)
    first = query.first(rule)
    seen, candidates = set(query.exclude) | set(query.given), []
    for score, row in zip(query.scores, query.rows.tolist(), strict=True):
        if row < 0 or row in seen or len(candidates) == rule.window:
            continue
        if not np.isfinite(score):
            return [], "nan_score"
        seen.add(row)
        candidates.append((score, row))
    below = (lambda a, b: a < b) if rule.strict else (lambda a, b: a <= b)

    def passes(score):
        bounds = (limit, other, np.float32(rule.max_score))
        return all(below(score, bound) for bound in bounds) and score >= np.float32(rule.min_score)

    if rule.skip_order == "after_filter":
        kept = [row for score, row in candidates if passes(score)][rule.skip :]
    else:
        kept = [row for score, row in candidates[rule.skip :] if passes(score)]
    out = first + kept[: rule.negatives - len(first)]
    if len(out) >= rule.least:
        return out, "ok"
    return [], "few_candidates" if len(candidates) < rule.skip + rule.least else "filtered_out"


def random_query(generator):
    count = int(generator.integers(0, 60))
    scores = -np.sort(-np.round(generator.uniform(-0.2, 1.0, count), 2)).astype(np.float32)
    scores[generator.random(count) < 0.005] = np.nan
    return Query(
        scores=scores,
        rows=np.where(generator.random(count) < 0.1, -1, generator.integers(0, 50, count)),
        positive=float(np.round(generator.uniform(-0.4, 1.1), 2)) if generator.random() > 0.05 else float("nan"),
        exclude=set(generator.integers(0, 50, 4).tolist()),
        given=generator.integers(0, 60, 3).tolist(),
    )


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6), skip=st.integers(0, 6), negatives=st.integers(1, 12), least=st.integers(1, 12),
    window=st.integers(1, 50), order=st.sampled_from(["after_filter", "before_filter"]), strict=st.booleans(),
    margin=st.sampled_from([0.0, 0.05, 0.5]), absolute=st.sampled_from([0.0, 0.1]),
    max_score=st.sampled_from([0.5, 0.8, 2.0]), min_score=st.sampled_from([-1.0, 0.1]),
)  # fmt: skip
def test_selecting_many_together_equals_the_rule_word_for_word(
    rule, seed, skip, negatives, least, window, order, strict, margin, absolute, max_score, min_score
):
    generator = np.random.default_rng(seed)
    queries = [random_query(generator) for _ in range(8)]
    rule = rule(
        skip=skip, negatives=negatives, least_negatives=min(least, negatives), window=window, skip_order=order,
        relative_margin=margin, absolute_margin=absolute, max_score=max_score, min_score=min_score, strict=strict,
    )  # fmt: skip
    found = [([*one.given, *one.mined], one.reason) for one in select_all(queries, rule)]
    assert found == [plainly(query, rule) for query in queries]
