"""Settings of runs as dotted keys, and how those of several runs differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from f2llm.runs.layout import Layout

MOST_SHOWN = 60  # characters of a value
HOW = ("train.threads", "train.processes", "train.nodes")  # settings that change no result


class Difference(NamedTuple):
    """One thing that differs, and what it likely comes from."""

    section: str  # settings | code | versions | sources | tuples | plan | model | scores
    what: str
    causes: list[str]


def flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Yield (dotted key, value) of nested mappings; lists of named mappings by name."""
    if isinstance(content, list) and content and all(isinstance(item, Mapping) and "name" in item for item in content):
        content = {item["name"]: item for item in content}
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, content


def shown(value: object) -> str:
    """A value as text, cut where it is long."""
    text = "none" if value is None else str(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def read_settings(layout: Layout) -> dict[str, Any]:
    """The settings of a run by dotted key; those of its sources begin with `sources.{name}.`."""
    return dict(flat(layout.content["settings"]))


def unequal(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The keys whose values are not the same in two mappings, sorted; a key that is not there counts as None."""
    return [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]


def version_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What differs in two tables of versions: "name before -> after"."""
    return [f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}" for name in unequal(before, after)]


def unequal_settings(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values differ between runs, sorted: without the runs' names and the sources that a run lacks."""
    names = [{_source_of(key) for key in keys} for keys in settings]
    lacking = set.union(*names) - set.intersection(*names)
    keys = {key for values in settings[1:] for key in unequal(settings[0], values)}
    return sorted(key for key in keys if key != "run" and _source_of(key) not in lacking)


def config_differences(layouts: tuple[Layout, Layout]) -> list[Difference]:
    """What differs in the configs of two runs: settings and sources, read out of run.json alone."""
    before, after = map(read_settings, layouts)
    names = [[source.name for source in layout.sources] for layout in layouts]
    differences = [
        Difference("settings", f"{key}: {shown(before.get(key))} -> {shown(after.get(key))}", [])
        for key in unequal_settings((before, after))
        if key not in HOW
    ]
    differences += [Difference("sources", f"{name} is left out", []) for name in names[0] if name not in names[1]]
    return differences + [Difference("sources", f"{name} is new", []) for name in names[1] if name not in names[0]]


def _source_of(key: str) -> str | None:
    """The source that a dotted key is a setting of, if it is one of a source."""
    section, _, rest = key.partition(".")
    return rest.partition(".")[0] if section == "sources" and rest else None
