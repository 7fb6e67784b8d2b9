"""How well evaluation texts are found in training texts: planted in nine ways, and false alarms on clean texts."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.curate.changes import Change, copies, cut, look_alikes, reorder, substitute, typos
from benchmarks.curate.rows import cpu_seconds

if TYPE_CHECKING:
    from f2llm.curate.decontaminate import EvaluationTexts, TextOrigin

LENGTHS = {"5-8": (5, 9), "9-12": (9, 13), "13-39": (13, 40), "40-119": (40, 120), "120+": (120, 701)}
ONE_TO_ONE = ("copy", "case", "html", "embedded")
FALSE_BELOW = 0.5  # containment of the evaluation text's character 5-grams


def leaks(texts: Sequence[str], *, drawn: Sequence[str], each: int, seed: int) -> dict[str, Any]:
    """Return the share of planted evaluation texts found, by kind and length in words, and the false alarms.

    Evaluation texts are `each` of every length of the prose `drawn`; clean training texts are those of `texts` that
    are none of them. False alarm: a clean text hits, and holds under half of the character 5-grams of what it hits.
    """
    from f2llm.curate.decontaminate import EvaluationTexts
    from f2llm.curate.evaluation_texts import index_texts
    from f2llm.curate.passages import comparable
    from f2llm.records.schemas.tasks import TEXTS
    from f2llm.records.tables import write_table

    draw = random.Random(seed)
    tests = _of_every_length(drawn, each=each)
    held = {comparable(text) for _, text in tests}
    training = [form for form in map(comparable, texts) if form not in held]
    with TemporaryDirectory() as folder:
        rows = [
            {"task": f"Drawn{at}", "split": "test", "id": str(at), "field": "text", "text": text}
            for at, (_, text) in enumerate(tests)
        ]
        write_table(Path(folder, "texts"), schema=TEXTS, rows=[pa.Table.from_pylist(rows, TEXTS)])
        began = cpu_seconds()
        index_texts(
            {}, extra=[Path(folder, "texts")], folder=Path(folder, "index"), query_like=(), missing="fail",
            memory_mb=1000,
        )  # fmt: skip
        indexed = cpu_seconds()
        evaluation = EvaluationTexts(Path(folder, "index"), containment=0.5, min_words=2)
        matching = cpu_seconds()
        hits = [
            (start + position, place, rule)
            for start in range(0, len(training), 1024)
            for position, place, rule in _matches(evaluation, training[start : start + 1024])
        ]
        matched = cpu_seconds()
        found = _planted(tests, evaluation, kinds=_kinds(texts, draw), draw=draw)
    shares: dict[int, float] = {}
    for at, place, _ in hits:
        shares[at] = max(shares.get(at, 0.0), _contained(comparable(place.text), training[at]))
    false = [at for at, share in shares.items() if share < FALSE_BELOW]
    return {
        "evaluation_texts": Counter(name for name, _ in tests),
        "clean_texts": len(training),
        **found,
        "clean_texts_flagged": len(shares),
        "clean_texts_flagged_by_rule": Counter(rule for _, rule in {(at, rule) for at, _, rule in hits}),
        "false_alarms": len(false),
        "false_alarm_share": len(false) / len(training),
        "indexing_us_a_text": 1e6 * (indexed - began) / len(tests),
        "matching_us_a_text": 1e6 * (matched - matching) / len(training),
    }


def _of_every_length(texts: Sequence[str], *, each: int) -> list[tuple[str, str]]:
    from f2llm.records.text_keys import e2_text

    drawn, left = [], dict.fromkeys(LENGTHS, each)
    for text in texts:
        words = len(e2_text(text).split())  # texts of tags alone have none
        name = next((name for name, (low, high) in LENGTHS.items() if low <= words < high), None)
        if name and left[name]:
            drawn.append((name, text))
            left[name] -= 1
    return drawn


def _kinds(texts: Sequence[str], draw: random.Random) -> dict[str, Change]:
    words = [word for text in texts[:2000] for word in text.split()]
    hosts = [text.split()[:250] for text in texts[:3000]]
    same = copies(words)

    def embedded(text: str, draw: random.Random) -> str:
        host = draw.choice(hosts)
        return " ".join([*host[: len(host) // 2], text, *host[len(host) // 2 :]])

    return {
        "copy": same["copy"], "case": same["case"], "html": same["html"], "embedded": embedded,
        "punctuation": same["punctuation"],
        "typos 2 %": lambda text, draw: typos(text, 0.02, draw),
        "cut to 70 %": lambda text, draw: cut(text, 0.7, least=3),
        "substitute 10 %": lambda text, draw: substitute(text, 0.1, words, draw),
        "reorder": reorder,
    } | {f"sibling: {kind}": change for kind, change in look_alikes().items()}  # fmt: skip


def _planted(
    drawn: Sequence[tuple[str, str]], evaluation: "EvaluationTexts", *, kinds: dict[str, Change], draw: random.Random
) -> dict[str, Any]:
    from f2llm.curate.passages import comparable

    found: dict[str, dict[str, list[bool]]] = {kind: {name: [] for name in LENGTHS} for kind in kinds}
    for at, (name, text) in enumerate(drawn):
        for kind, change in kinds.items():
            other = change(text, draw)
            if other and (other != text or kind == "copy"):
                ids = {place.id for _, place, _ in _matches(evaluation, [comparable(other)])}
                found[kind][name].append(str(at) in ids)
    plain = [kind for kind in kinds if not kind.startswith("sibling")]
    return {
        "found_by_kind": {kind: _share([one for by in found[kind].values() for one in by]) for kind in kinds},
        "found_by_kind_and_words": {kind: {name: _share(by) for name, by in found[kind].items()} for kind in kinds},
        "found_by_words": {name: _share([one for kind in plain for one in found[kind][name]]) for name in LENGTHS},
        "found_one_to_one": _share([one for kind in ONE_TO_ONE for by in found[kind].values() for one in by]),
        "found_from_13_words": _share(
            [one for kind in plain for name in ("13-39", "40-119", "120+") for one in found[kind][name]]
        ),
    }


def _matches(evaluation: "EvaluationTexts", forms: Sequence[str]) -> list[tuple[int, "TextOrigin", str]]:
    hits = evaluation.match(forms)
    return list(zip(hits.position.tolist(), evaluation.places(hits.text.tolist()), hits.rule.tolist(), strict=True))


def _contained(test: str, text: str) -> float:
    grams = {test[at : at + 5] for at in range(max(1, len(test) - 4))}
    return sum(gram in text for gram in grams) / len(grams)


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None
