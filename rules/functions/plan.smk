"""What jobs that tokenise texts and plan the steps of a run are told."""

from f2llm.config.parts import training_settings
from f2llm.config.tokens import PromptedModel

BACKBONE = "results/models/{backbone}/model"
TUPLES = "results/mined/{mining}/{source}/tuples.parquet"
TOKEN_FILES = [
    f"{rows}.{kind}"
    for rows in ("passages", "queries", "positives")
    for kind in ("bin", "offsets")
]
# Of the token rows of a source: what describes them, all of them, and what the lengths of texts follow from.
TOKENS_META = "results/tokens/{tokens}/{source}/meta.json"
TOKENISED = [
    f"results/tokens/{{tokens}}/{{source}}/{file}"
    for file in ["meta.json", *TOKEN_FILES]
]
LENGTHS = [
    f"results/tokens/{{tokens}}/{{source}}/{rows}.{kind}"
    for rows in ("passages", "queries")
    for kind in ("offsets", "bin")
]


def source_instruction(wildcards):
    """The only thing of a stanza that decides its tokens."""
    return STANZAS[wildcards.source].instruction


def trained_source_names(wildcards):
    """The names of the sources of a run."""
    return [source.name for source in RUNS.of(wildcards).sources]


def run_settings(wildcards):
    """What of a run decides its training."""
    return training_settings(RUNS.of(wildcards))


def run_variant_keys(wildcards):
    """A stage's folder -> the variant key of a run."""
    folders = {
        "curated": "curation",
        "vectors": "encoder",
        "mined": "mining",
        "tokens": "tokens",
    }
    return {folder: RUNS.keys[wildcards.run][key] for folder, key in folders.items()}
