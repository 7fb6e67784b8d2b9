"""The table of effects that the target `ablate` asks for."""

EFFECTS = f"results/ablations/{RUN.run}/scores.parquet"


def effects_table(wildcards):
    """The table of effects of all changes; a config without changes is refused."""
    if not CHANGED:
        raise WorkflowError(
            "config: there is no `ablate`; say `ablate: leave_one_source_out`, or list changes (docs/evaluation.md)"
        )
    return EFFECTS
