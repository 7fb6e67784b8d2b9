"""What the target `ablate` makes."""

EFFECTS = f"results/ablations/{RUN.run}/scores.parquet"


def effects_table(wildcards):
    """The effects of all changes; a config without changes has nothing to compare."""
    if not CHANGED:
        raise WorkflowError(
            "config: there is no `ablate`; say `ablate: leave_one_source_out`, or list changes (docs/evaluation.md)"
        )
    return EFFECTS
