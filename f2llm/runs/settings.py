"""Settings of runs as dotted keys, and how those of two runs differ."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from f2llm.records.files import read_json
from f2llm.runs.layout import Layout

MOST_SHOWN = 60  # characters of a value
HOW = ("train.threads", "train.processes", "train.nodes")  # settings that change no result


def flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Yield (dotted key, value) of nested mappings; lists of named mappings by name."""
    if isinstance(content, list) and content and all(isinstance(one, Mapping) and "name" in one for one in content):
        content = {one["name"]: one for one in content}
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, content


def shown(value: object) -> str:
    """Return a value, cut where it is long."""
    text = "none" if value is None else str(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


class Difference(NamedTuple):
    """One thing that differs, and what it likely comes from."""

    section: str  # settings | code | versions | sources | tuples | plan | model | scores
    what: str
    causes: list[str]


def config_differences(layouts: tuple[Layout, Layout]) -> list[Difference]:
    """Return what differs in the configs of two runs: settings and sources, read out of run.json alone."""
    names = [[source.name for source in layout.sources] for layout in layouts]
    found = [Difference("settings", what, []) for what in _settings(layouts)]
    found += [Difference("sources", f"{name} is left out", []) for name in names[0] if name not in names[1]]
    return found + [Difference("sources", f"{name} is new", []) for name in names[1] if name not in names[0]]


def _settings(layouts: tuple[Layout, Layout]) -> list[str]:
    before, after = (dict(flat(read_json(layout.of_run("run.json"))["settings"])) for layout in layouts)
    names = [{source.name for source in layout.sources} for layout in layouts]
    alone = tuple(f"sources.{name}." for name in names[0] ^ names[1])
    return [
        f"{key}: {shown(before.get(key))} -> {shown(after.get(key))}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and key not in (*HOW, "run") and not key.startswith(alone or "\0")
    ]
