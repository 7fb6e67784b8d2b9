import numpy as np
import pytest

from f2llm.curate import decontaminate
from f2llm.curate.passages import comparable

FOUR = "red lamp by night"
FIVE = "the red lamp by night"
EIGHT = "which keeper lit the red lamp every evening"
NINE = "which old keeper lit the red lamp every evening"  # five distinct 5-grams
AROUND = "as was written long ago {} and so it went on until the very end"


def rule(evaluation, *training):
    hits = evaluation.match([comparable(text) for text in training])
    found = dict(zip(hits.position.tolist(), hits.rule.tolist(), strict=True))
    return [found.get(position) for position in range(len(training))]


@pytest.mark.parametrize("text", ["lamp", FOUR, FIVE, EIGHT, NINE])
def test_an_equal_text_hits_at_any_length(index, text):
    copies = [text, text.upper() + "!", f"<b>{text}</b>", text.replace(" ", " &nbsp;")]
    assert rule(index(text), *copies) == ["equal"] * 4


@pytest.mark.parametrize(
    ("text", "hit"), [("lamp", None), (FOUR, None), (FIVE, "run"), (EIGHT, "run"), (NINE, "5-grams")]
)
def test_inside_another_text_five_words_and_more_hit(index, text, hit):
    assert rule(index(text), AROUND.format(text)) == [hit]


@pytest.mark.parametrize("text", [FIVE, EIGHT])
def test_up_to_eight_words_must_be_found_whole_and_in_one_run(index, text):
    words = text.split()
    broken = " ".join([*words[:3], "very", *words[3:]])
    assert rule(index(text), AROUND.format(broken), AROUND.format(" ".join(words[:-1]))) == [None, None]


@pytest.mark.parametrize(("containment", "hit"), [(0.6, "5-grams"), (0.61, None)])
def test_from_nine_words_on_the_share_of_grams_decides(index, containment, hit):
    # The first seven words hold three of the five 5-grams.
    part = AROUND.format(" ".join(NINE.split()[:7]))
    assert rule(index(NINE, containment=containment), part) == [hit]
    hits = index(NINE).match([comparable(part)])
    assert hits.containment.tolist() == [3 / 5]


def test_repeated_grams_count_once(index):
    text = "one two three four five one two three four five six"  # grams: 5 of the cycle once, and one more
    hits = index(text).match([comparable("x one two three four five one two three four y")])
    assert hits.containment.tolist() == [5 / 6]


def test_grams_do_not_cross_from_one_training_text_to_the_next(index):
    words = NINE.split()
    assert rule(index(NINE), " ".join(words[:4]), " ".join(words[4:8])) == [None, None]


def test_hindi_texts_hit_and_other_vowel_signs_do_not(index):
    text = "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902 \u0932\u093f\u0916\u093e"
    assert rule(index(text), text + "\u0964", text.replace("\u0932\u093f", "\u0932\u0947")) == ["equal", None]


def test_a_text_of_signs_only_is_compared_as_it_is_and_an_empty_one_never(index):
    assert rule(index("\U0001f600", ""), "\U0001f600", "\U0001f601", "") == ["equal", None, None]


def test_what_a_probe_is_fitted_on_is_no_evaluation_text(index):
    assert rule(index(NINE, split="train"), NINE) == [None]


def test_corpus_texts_are_counted_but_hit_nothing(index):
    evaluation = index(NINE, field="corpus")
    assert rule(evaluation, NINE) == [None]
    assert evaluation.in_corpora([comparable(NINE), comparable(FIVE), ""]) == {"Toy": 1}


def test_the_evidence_names_task_id_and_rule_of_the_best_hit(index):
    evaluation = index(NINE + " once more", NINE, FIVE)
    hits = evaluation.match([comparable(NINE)])
    assert evaluation.evidence(hits) == ["Toy 1 equal"]


def test_the_order_of_the_evaluation_texts_is_no_matter(index):
    texts = [NINE, NINE.upper(), EIGHT, FIVE]
    rows = [
        {"task": "Toy", "split": "test", "id": str(at), "field": "text", "text": text} for at, text in enumerate(texts)
    ]
    training = [comparable(text) for text in (AROUND.format(NINE), NINE, EIGHT)]
    found = []
    for order in (rows, rows[::-1]):
        evaluation = index(rows=order)
        hits = evaluation.match(training)
        found.append(evaluation.evidence(hits))
    assert found[0] == found[1]
    assert found[0][1] == "Toy 0 equal"


def test_parts_give_what_the_whole_gives(index, monkeypatch):
    texts = [f"{NINE} number {at}" for at in range(20)]
    training = [comparable(AROUND.format(text)) for text in texts]
    whole = index(*texts).match(training)
    monkeypatch.setattr(decontaminate, "PAIRS_PER_PART", 1)
    parts = index(*texts).match(training)
    assert all(np.array_equal(left, right) for left, right in zip(whole, parts, strict=True))
    assert len(whole.position) == 20


def test_contaminated_rows_go_with_their_evidence(curate, query):
    other, clean = "nothing about it at all", "what is the name of the boat"
    found = curate(
        [AROUND.format(EIGHT), other],
        [query("who was it", (AROUND.format(EIGHT),)), query(EIGHT, (other,)), query(clean, (other,), (AROUND.format(EIGHT),))],
        texts=[EIGHT],
    )  # fmt: skip
    assert found.corpus == [other]
    assert list(found.queries) == [clean]
    assert found.queries[clean]["negatives"] == []
    assert found.row(EIGHT, "query")["evidence"] == "Toy t0 equal"
    assert found.row(AROUND.format(EIGHT))["evidence"] == "Toy t0 run"
    assert found.why("who was it", "query") == "decontaminate: all its positives are found in the evaluation texts"
    assert found.row("who was it", "query")["evidence"] == "Toy t0 run"
    assert found.counts["contaminated_passages"] == {"Toy": 1}


@pytest.mark.parametrize(
    ("policy", "kept", "counted"), [("off", 1, None), ("report", 1, {"Toy": 1}), ("drop", 0, {"Toy": 1})]
)
def test_policies(curate, policy, kept, counted):
    found = curate([NINE], texts=[NINE], clean__policy=policy)
    assert len(found.corpus) == kept
    assert found.counts.get("contaminated_passages") == counted


def test_label_texts_are_never_removed(curate, query):
    found = curate(
        ["positive", "POSITIVE"], [query("fine", ("positive",), label="a"), query("bad day", ("POSITIVE",), label="b")],
        texts=["positive", "bad day"], task="classification",
    )  # fmt: skip
    assert sorted(found.corpus) == ["POSITIVE", "positive"]
    assert list(found.queries) == ["fine"]


@pytest.mark.parametrize(("policy", "dropped"), [("report", False), ("drop", True)])
def test_every_hit_is_listed_with_both_texts(curate, query, policy, dropped):
    texts = [{"text": EIGHT, "field": "query"}, {"text": EIGHT, "field": "text", "task": "Other"}]
    found = curate([AROUND.format(EIGHT), "clean"], [query(EIGHT, ("clean",))], texts=texts, clean__policy=policy)
    said = [
        (row["role"], row["task"], row["rule"], row["dropped"], row["text"], row["test_text"]) for row in found.hits
    ]
    assert said == [
        ("passage", "Other", "run", dropped, AROUND.format(EIGHT), EIGHT),
        ("passage", "Toy", "run", dropped, AROUND.format(EIGHT), EIGHT),
        ("query", "Other", "equal", dropped, EIGHT, EIGHT),
        ("query", "Toy", "equal", dropped, EIGHT, EIGHT),
    ]
    assert found.counts["contaminated_passages"] == {"Other": 1, "Toy": 1}
    assert found.counts["evaluation_texts_found"] == 4


def test_a_word_that_is_an_evaluation_text_stays_and_is_listed(curate):
    found = curate(["lion", "sea lion"], texts=["lion"], clean__min_words=2)
    assert sorted(found.corpus) == ["lion", "sea lion"]
    assert [(row["text"], row["dropped"]) for row in found.hits] == [("lion", False)]
    assert found.counts["contaminated_passages"] == {"Toy (short)": 1}
