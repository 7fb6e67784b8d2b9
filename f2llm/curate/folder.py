"""The files that an audit reads; apart from `audit`, because planning the workflow needs them and nothing else."""

from pathlib import Path

JSON_LINES = (".jsonl", ".jsonl.gz")
PARQUET = (".parquet",)


def audited_files(folder: str | Path) -> list[Path]:
    """The JSONL and Parquet files below `folder`, sorted; none if it lies outside the working directory."""
    top, here = Path(folder), Path.cwd().resolve()
    if top.is_absolute() or ".." in top.parts or not top.resolve().is_relative_to(here):
        return []
    return sorted(path for path in top.rglob("*") if path.name.endswith(JSON_LINES + PARQUET) and path.is_file())
