"""Name of a database or vocabulary -> its description, over several registries of the Bioregistry."""

import json
from collections.abc import Iterator, Sequence

from f2llm.records.words import count_words, first_words
from f2llm.rows.archives import RawFile
from f2llm.rows.fields import one_line
from f2llm.sources.records import Passage, Query, Skipped


def registry_descriptions(
    files: Sequence[RawFile], *, folder: str, registries: Sequence[str], min_words: int, max_words: int
) -> Iterator[Passage | Query | Skipped]:
    """Yield descriptions of at least `min_words`, cut to `max_words`; split by name, whatever the registry."""
    for file in files:
        for registry in registries:
            member = f"{folder}/{registry}/processed.json"
            where = file.where(member)
            for row, entry in enumerate(json.loads(file.read(member)).values()):
                name, description = one_line(entry.get("name")), one_line(entry.get("description"))
                if not name or not description:
                    yield Skipped("entry has no name or no description", where, row)
                elif count_words(description) < min_words:
                    yield Skipped(f"description has under {min_words} words", where, row)
                else:
                    key = f"{registry}:{row}"
                    yield Passage(key, first_words(description, max_words), where, row, "description")
                    yield Query(name, (key,), (), name.lower(), where, row, "name")
