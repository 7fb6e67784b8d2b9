"""Which manifests below results/lineage/jobs belong to a run, when nobody names them."""

from f2llm.lineage.layout import Layout


def jobs_of(layout: Layout) -> list[str]:
    """Return the manifests of the jobs of a run, by path.

    A job's path is {rule}/{variant key}/{unit}.json: those count whose folders name no variant but the run's, and
    whose unit is the run, one of its sources or models, or (without a variant) what all runs share.
    """
    root = layout.results / "lineage" / "jobs"
    other = {path.parent.name for path in (layout.results / "runs").glob("*/run.json")} - {layout.run}
    own = set(layout.variants.values())
    found = []
    for path in sorted(root.rglob("*.json")):
        rule, *keys = path.relative_to(root).with_suffix("").parts
        if keys and keys[-1] in other or rule == "build_report":
            continue
        # Keys of variants end in a digest; a run's own keys are the only ones that count.
        if all(key in own for key in keys[:-1]) and (not _is_key(keys[-1:]) or keys[-1] in own):
            found.append(str(path))
    return found


def _is_key(parts: list[str]) -> bool:
    """Whether the last part of a path is a variant key: `name-<8 hex>`."""
    digest = parts[0].rpartition("-")[2] if parts else ""
    return len(digest) == 8 and all(letter in "0123456789abcdef" for letter in digest)
