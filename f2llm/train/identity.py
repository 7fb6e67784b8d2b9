"""All that decides the weights of a training: only trainings with the same identity may share checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from f2llm.config.build import plain
from f2llm.records.files import read_json, sha256_file
from f2llm.runs.run_file import RunFile

# Train settings that change speed, memory or disk, but the result by no more than rounding.
WITHOUT_EFFECT = frozenset(
    {
        "recipe", "compile", "tokens_per_chunk", "activations_mb", "reshard_after_forward", "checkpoint_every",
        "keep_checkpoints", "keep_every", "validation", "processes", "nodes",
    }
)  # fmt: skip


def changed_rows(run: RunFile) -> list[str]:
    """A fault for each file of token rows that is missing or changed.

    Hashes all files, so one process of a node should do it for all.
    """
    return [
        f"{file}: {'changed since' if file.is_file() else 'missing, though'} it was written; run tokenise_source again"
        for source in run.sources
        for name, sha256 in read_json(Path(source.tokens, "meta.json"))["files"].items()
        if not (file := Path(source.tokens, name)).is_file() or sha256_file(file) != sha256
    ]


def identity(run: RunFile, *, backbone_sha256: str, code: str, precision: str) -> dict[str, Any]:
    """All that decides the trained weights, as flat keys: settings, and digests of plan, data, backbone and code."""
    train = {key: value for key, value in plain(run.settings.train).items() if key not in WITHOUT_EFFECT}
    facts: dict[str, Any] = {f"train.{key}": value for key, value in train.items()}
    facts |= {"train.precision": precision, "plan": run.plan_sha256, "backbone": backbone_sha256, "code": code}
    for source in run.sources:
        facts |= {f"{source.name}.tuples": source.tuples_sha256, f"{source.name}.tokens": source.tokens_sha256}
    return facts | {f"{source.name}.task": source.task for source in run.settings.sources}


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """The keys in which two identities differ, sorted."""
    return sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
