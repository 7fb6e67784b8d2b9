"""Which stage of the pipeline a rule belongs to."""

from types import MappingProxyType

STAGE_OF_RULE = MappingProxyType(
    {
        "fetch_source": "fetch", "prepare_model": "models", "normalise_source": "normalise", "curate_source": "curate",
        "index_texts": "curate", "check_splits": "curate", "find_shared": "curate", "audit_folder": "curate",
        "embed_part": "embed", "embed_source": "embed", "mine_part": "mine", "mine_source": "mine",
        "tokenise_source": "tokenise", "plan_run": "train", "train_model": "train", "build_report": "report",
    }
)  # fmt: skip
REST = "evaluate"  # rules of evaluation have names that depend on the benchmark


def stage_of(rule: str) -> str:
    """Return the stage of a rule."""
    return STAGE_OF_RULE.get(rule, REST)
