"""Name of an emoji in another language -> its English name (Unicode CLDR)."""

import json
import re
from collections.abc import Iterator, Sequence

from f2llm.rows.archives import RawFile
from f2llm.sources.records import Passage, Query, Skipped

SKIN_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")
FULLY_QUALIFIED = 2  # status of the base form in the package's table


def emoji_names(
    files: Sequence[RawFile], *, folder: str, languages: Sequence[str]
) -> Iterator[Passage | Query | Skipped]:
    """Yield English names as passages and names in `languages` as queries; split by English name."""
    for file in files:
        english = f"{folder}/emoji.json"
        table = json.loads(file.read(english))
        names: dict[str, str] = {}
        for row, (emoji, entry) in enumerate(table.items()):
            if entry["status"] != FULLY_QUALIFIED or SKIN_TONE.search(emoji):
                yield Skipped("emoji is a variant of another", file.where(english), row, "passage")
                continue
            names[emoji] = _plain(entry["en"])
            yield Passage(names[emoji], names[emoji], file.where(english), row, "en")
        for language in languages:
            yield from _translations(file, f"{folder}/emoji_{language}.json", language, names)


def _translations(file: RawFile, member: str, language: str, names: dict[str, str]) -> Iterator[Query | Skipped]:
    where = file.where(member)
    for row, (emoji, name) in enumerate(json.loads(file.read(member)).items()):
        if emoji not in names:
            yield Skipped("emoji is a variant of another", where, row)
        elif _plain(name).lower() == names[emoji].lower():
            yield Skipped("name equals the English one", where, row)
        else:
            yield Query(_plain(name), (names[emoji],), (), names[emoji], where, row, language)


def _plain(name: str) -> str:
    return name.strip(":").replace("_", " ")
