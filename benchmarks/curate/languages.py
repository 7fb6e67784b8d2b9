r"""Near copies and leaks planted in Chinese, Japanese, German and English, on the same texts in each language.

    python -m benchmarks.curate.languages --out benchmarks/results/curate-languages.json

The texts are the messages of Home Assistant, which its wheel has in all four languages; pip downloads it (43 MB) into
`--wheels`. Messages of 4 English words and more, each once, are joined in the order of their files until a passage
has 40 English words: 1,000 clean passages, 100 origins of near copies, 100 evaluation texts (every other one a single
message of 6 to 12 words). What is planted is made alike in every language: a "word" is what stands between spaces,
or up to 2 Chinese characters or 4 kana.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.curate.rows import curate, write_source
from benchmarks.machine import commit, machine, versions

PACKAGE = "homeassistant==2025.4.4"
LANGUAGES = {"English": "en", "German": "de", "Chinese": "zh-Hans", "Japanese": "ja"}
LEAST_WORDS, MOST_SHORT, PASSAGE_WORDS = 4, 12, 40
CLEAN, PLANTED = 1000, 100
FALSE_BELOW = 0.5  # of the words of the evaluation text
SEED = 17
_WORD = re.compile(r"[\u4e00-\u9fff]{1,2}|[\u3041-\u30ff]{1,4}|[^\s\u3041-\u30ff\u4e00-\u9fff]+\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_PUNCTUATION = re.compile(r"[.,;:!?\"()\u3001\u3002\u300c\u300d\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f]")
Texts = tuple[str, ...]  # one text in all LANGUAGES


class Material(NamedTuple):
    """The texts of all parts; none is in two of them."""

    clean: Sequence[Texts]
    origins: Sequence[Texts]
    tests: Sequence[Texts]
    added: Sequence[Texts]  # short messages, to stand before or behind a text


def main() -> None:
    """Plant, look and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--wheels", type=Path, help="folder for the download; a temporary one unless given")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        material = collect(download(options.wheels or Path(folder)))
    found = {name: measure(material, place) for place, name in enumerate(LANGUAGES)}
    packages = {name: version(name) for name in ("rensa", "duckdb", "scipy", "regex", "rapidfuzz")}
    content = {"machine": machine(), "versions": versions() | packages, "commit": commit(), "texts": PACKAGE, **found}
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def download(folder: Path) -> Path:
    """Return the wheel of the package, downloaded where it is not there yet."""
    name, number = PACKAGE.split("==")
    wheels = f"{name}-{number}-*.whl"
    if not list(folder.glob(wheels)):
        asked = ["--no-deps", "--only-binary=:all:", "--python-version=3.13", f"--dest={folder}", PACKAGE]
        subprocess.run([sys.executable, "-m", "pip", "download", *asked], check=True, stdout=sys.stderr)
    return next(folder.glob(wheels))


def collect(wheel: Path) -> Material:
    """Return the texts of all parts."""
    messages = list(_messages(wheel))
    random.Random(SEED).shuffle(short := [texts for texts in messages if 6 <= _words(texts) <= MOST_SHORT])
    tests, added = short[: PLANTED // 2], [texts for texts in short[PLANTED // 2 :] if _words(texts) <= 7][:PLANTED]
    used = set(tests) | set(added)
    passages = list(_passages([texts for texts in messages if texts not in used]))
    random.Random(SEED).shuffle(passages)
    parts = (CLEAN, CLEAN + PLANTED, CLEAN + PLANTED + PLANTED // 2)
    if len(passages) < parts[-1]:
        raise SystemExit(f"{len(passages)} passages, {parts[-1]} are needed")
    return Material(
        passages[: parts[0]], passages[parts[0] : parts[1]], tests + passages[parts[1] : parts[2]], added
    )  # fmt: skip


def _messages(wheel: Path) -> Iterator[Texts]:
    """Yield the messages that all languages have, each English one once."""
    seen = set()
    with zipfile.ZipFile(wheel) as archive:
        english = sorted(name for name in archive.namelist() if name.endswith("/translations/en.json"))
        names = set(archive.namelist())
        for name in english:
            files = [name.replace("en.json", f"{code}.json") for code in LANGUAGES.values()]
            if not names.issuperset(files):
                continue
            tables = [dict(_flat(json.loads(archive.read(file)), "")) for file in files]
            for key in tables[0]:
                texts = tuple(table.get(key, "") for table in tables)
                translated = all(texts) and texts[0] not in texts[1:]
                if translated and texts[0] not in seen and _words(texts) >= LEAST_WORDS:
                    seen.add(texts[0])
                    yield texts


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}")
    elif isinstance(value, str):
        yield key, value


def _passages(messages: Sequence[Texts]) -> Iterator[Texts]:
    part: list[Texts] = []
    for texts in messages:
        part.append(texts)
        if sum(map(_words, part)) >= PASSAGE_WORDS:
            yield tuple("\n".join(column) for column in zip(*part, strict=True))
            part = []


def _words(texts: Texts) -> int:
    return len(texts[0].split())


def _dropped(text: str, draw: random.Random, rate: float) -> str:
    return "".join(word for word in _WORD.findall(text) if draw.random() > rate)


def _substituted(text: str, other: str, draw: random.Random, rate: float) -> str:
    others = _WORD.findall(other)
    return "".join(draw.choice(others) if draw.random() < rate else word for word in _WORD.findall(text))


def _reordered(text: str, draw: random.Random) -> str:
    sentences = [part for part in _SENTENCE_END.split(text) if part.strip()]
    if len(sentences) < 2:
        words = _WORD.findall(text)
        sentences = ["".join(words[: len(words) // 2]), "".join(words[len(words) // 2 :])]
    draw.shuffle(sentences)
    return "\n".join(sentences)


def _embedded(text: str, host: str) -> str:
    words = _WORD.findall(host)
    return "\n".join(["".join(words[: len(words) // 2]), text, "".join(words[len(words) // 2 :])])


# Kind -> (text, a short message, a clean passage, draw) -> what is planted.
Plant = Callable[[str, str, str, random.Random], str]
COPIES: dict[str, Plant] = {
    "a message before it": lambda text, added, _, draw: f"{added}\n{text}",
    "a message behind it": lambda text, added, _, draw: f"{text}\n{added}",
    "punctuation dropped": lambda text, added, _, draw: _PUNCTUATION.sub("", text),
    "sentences reordered": lambda text, added, _, draw: _reordered(text, draw),
    "5 % of the words dropped": lambda text, added, _, draw: _dropped(text, draw, 0.05),
}
LEAKS: dict[str, Plant] = {
    "copy": lambda text, added, host, draw: text.upper(),
    "inside another": lambda text, added, host, draw: _embedded(text, host),
    "punctuation dropped": lambda text, added, host, draw: _PUNCTUATION.sub("", text),
    "cut to 70 %": lambda text, added, host, draw: "".join((words := _WORD.findall(text))[: len(words) * 7 // 10]),
    "10 % of the words replaced": lambda text, added, host, draw: _substituted(text, host, draw, 0.1),
    "5 % of the words dropped": lambda text, added, host, draw: _dropped(text, draw, 0.05),
}


def measure(material: Material, place: int) -> dict[str, Any]:
    """Return the shares found of what is planted in one language, and the false alarms."""
    clean, origins, tests, added = ([texts[place] for texts in part] for part in material)
    near = {kind: near_copies(clean, origins, added, plant) for kind, plant in COPIES.items()}
    return {
        "characters_a_passage": sum(map(len, clean)) / len(clean),
        "near_copies": {kind: found for kind, (found, _) in near.items()},
        "near_copies_all": sum(found for found, _ in near.values()) / len(near),
        "clean_passages_dropped": Counter(dropped for _, dropped in near.values()).most_common(1)[0][0],
        **leaks(clean, tests, added),
    }


def near_copies(clean: Sequence[str], origins: Sequence[str], added: Sequence[str], plant: Plant) -> tuple[float, int]:
    """Return the share of the planted copies that are merged with their origin, and how many clean passages go."""
    from f2llm.records.ids import doc_id

    draw = random.Random(SEED)
    plants = [plant(text, other, "", draw) for text, other in zip(origins, added, strict=True)]
    with TemporaryDirectory() as folder:
        write_source(Path(folder), [*clean, *origins, *plants])
        curate(Path(folder))
        removed = pq.read_table(Path(folder, "out", "removed.parquet")).to_pylist()
    stands_in = {row["id"]: row["kept_id"] for row in removed}

    def last(text: str) -> bytes:
        identity = doc_id(text)
        while identity in stands_in:
            identity = stands_in[identity]
        return identity

    merged = [last(text) == last(other) for text, other in zip(origins, plants, strict=True)]
    planted = {doc_id(text) for text in plants}
    return sum(merged) / len(merged), sum(doc_id(text) in stands_in and last(text) not in planted for text in clean)


def leaks(clean: Sequence[str], tests: Sequence[str], added: Sequence[str]) -> dict[str, Any]:
    """Return the shares of the planted evaluation texts that are found, and how many clean passages are hit."""
    from f2llm.curate.decontaminate import EvaluationTexts
    from f2llm.curate.evaluation_texts import index_texts
    from f2llm.curate.passages import comparable
    from f2llm.records.schemas.tasks import TEXTS
    from f2llm.records.tables import write_table

    rows = [
        {"task": f"Planted{at}", "split": "test", "id": str(at), "field": "text", "text": text}
        for at, text in enumerate(tests)
    ]
    with TemporaryDirectory() as folder:
        write_table(Path(folder, "texts"), schema=TEXTS, rows=[pa.Table.from_pylist(rows, TEXTS)])
        index_texts(
            {}, extra=[Path(folder, "texts")], folder=Path(folder, "index"), query_like=(), missing="fail",
            memory_mb=500,
        )  # fmt: skip
        evaluation = EvaluationTexts(Path(folder, "index"), containment=0.5, min_words=2)
        draw, shares = random.Random(SEED), {}
        for kind, plant in LEAKS.items():
            hosts = zip(tests, added, clean[: len(tests)], strict=True)
            planted = [plant(text, other, host, draw) for text, other, host in hosts]
            hits = evaluation.match(list(map(comparable, planted)))
            places = zip(hits.position.tolist(), evaluation.places(hits.text.tolist()), strict=True)
            shares[kind] = len({at for at, place in places if place.id == str(at)}) / len(tests)
        alarms = evaluation.match(list(map(comparable, clean)))
        places = zip(alarms.position.tolist(), evaluation.places(alarms.text.tolist()), strict=True)
        shared = {at: _shared(clean[at], place.text) for at, place in places}
    return {
        "leaks": shares,
        "leaks_all": sum(shares.values()) / len(shares),
        "clean_passages_hit": len(shared),
        "false_alarms": sum(share < FALSE_BELOW for share in shared.values()),
    }


def _shared(text: str, test: str) -> float:
    """The share of the words of an evaluation text that a text has."""
    words = {word.strip().casefold() for word in _WORD.findall(text)}
    wanted = [word.strip().casefold() for word in _WORD.findall(test)]
    return sum(word in words for word in wanted) / len(wanted)


if __name__ == "__main__":
    main()
