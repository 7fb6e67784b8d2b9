import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f2llm.mine.select import score_limit, select

SCORES = np.array([0.7 - 0.005 * j for j in range(60)], np.float32)
ROWS = np.arange(60)


@pytest.fixture
def chosen(rule):
    def call(scores=SCORES, rows=ROWS, *, positive=0.9, exclude=(), given=(), **changes):
        return select(
            np.asarray(scores, np.float32), np.asarray(rows), positive_score=positive, exclude=set(exclude),
            given=list(given), rule=rule(**changes),
        )  # fmt: skip

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
    assert score_limit(0.5, relative_margin=0.1) == np.float32(0.45)
    assert score_limit(-0.5, relative_margin=0.1) == np.float32(-0.55)


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


def plainly(scores, rows, positive, exclude, given, rule):
    """The rule word for word, one candidate at a time."""
    if not np.isfinite(positive):
        return [], "nan_positive"
    limit = np.float32(positive) - np.abs(np.float32(positive)) * np.float32(rule.relative_margin)
    first = [row for row in dict.fromkeys(given) if row not in exclude][: rule.negatives]
    seen, candidates = set(exclude) | set(first), []
    for score, row in zip(scores, rows, strict=True):
        if row < 0 or row in seen or len(candidates) == rule.window:
            continue
        if not np.isfinite(score):
            return [], "nan_score"
        seen.add(row)
        candidates.append((score, row))
    passes = lambda score: score < limit and score < np.float32(rule.max_score)  # noqa: E731
    if rule.skip_order == "after_filter":
        kept = [row for score, row in candidates if passes(score)][rule.skip :]
    else:
        kept = [row for score, row in candidates[rule.skip :] if passes(score)]
    out = first + kept[: rule.negatives - len(first)]
    if len(out) == rule.negatives:
        return out, "ok"
    return [], "few_candidates" if len(candidates) < rule.skip + rule.negatives else "filtered_out"


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 10**6), count=st.integers(0, 60), skip=st.integers(0, 6), negatives=st.integers(1, 12),
    window=st.integers(1, 50), order=st.sampled_from(["after_filter", "before_filter"]),
    margin=st.sampled_from([0.0, 0.05, 0.5]), max_score=st.sampled_from([0.5, 0.8, 2.0]),
)  # fmt: skip
def test_selection_equals_the_rule_word_for_word(rule, seed, count, skip, negatives, window, order, margin, max_score):
    generator = np.random.default_rng(seed)
    scores = -np.sort(-np.round(generator.uniform(-0.2, 1.0, count), 2)).astype(np.float32)
    scores[generator.random(count) < 0.02] = np.nan
    rows = np.where(generator.random(count) < 0.1, -1, generator.integers(0, 50, count))
    positive = float(np.round(generator.uniform(-0.4, 1.1), 2)) if generator.random() > 0.05 else float("nan")
    exclude, given = set(generator.integers(0, 50, 4).tolist()), generator.integers(0, 60, 3).tolist()
    rule = rule(
        skip=skip, negatives=negatives, window=window, skip_order=order, relative_margin=margin,
        max_score=max_score,
    )  # fmt: skip
    found = select(scores, rows, positive_score=positive, exclude=exclude, given=given, rule=rule)
    assert ([*found.given, *found.mined], found.reason) == plainly(scores, rows, positive, exclude, given, rule)
