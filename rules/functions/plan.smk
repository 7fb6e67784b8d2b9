"""Inputs and parameters of the jobs that tokenise texts and plan the steps of a run."""

from f2llm.config.parts import training_settings
from f2llm.config.tokens import PromptedModel

BACKBONE = "results/models/{backbone}/model"
TUPLES = "results/mined/{mining}/{source}/tuples.parquet"
TOKEN_FILES = [
    f"{rows}.{kind}"
    for rows in ("passages", "queries", "positives")
    for kind in ("bin", "offsets")
]
# Files of the token rows of a source: their description, all of them, and those that give the lengths of texts.
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
    """The instruction of a source, the only key of its stanza that decides its tokens."""
    return STANZAS[wildcards.source].instruction


def trained_source_names(wildcards):
    """The names of the sources of a run."""
    return [source.name for source in RUNS.of(wildcards).sources]


def run_settings(wildcards):
    """The settings of a run that decide its plan and training."""
    return training_settings(RUNS.of(wildcards))


def run_variant_keys(wildcards):
    """The variant keys of a run, by the name of the stage's folder."""
    folders = {
        "curated": "curation",
        "vectors": "encoder",
        "mined": "mining",
        "tokens": "tokens",
    }
    return {folder: RUNS.keys[wildcards.run][key] for folder, key in folders.items()}
