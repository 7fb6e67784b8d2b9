"""The trained model as a folder that SentenceTransformer and transformers load without further settings."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f2llm.config.build import plain
from f2llm.models.config_forms import in_both_forms
from f2llm.models.prompts import format_query
from f2llm.models.tokenizers import SETTINGS, both_tokenizer_forms, spells_control_tokens
from f2llm.records.files import atomic_folder, read_json, write_json
from f2llm.runs.run_file import MODEL_FILE, RunFile
from f2llm.train.card import model_card

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
GENERIC_INSTRUCTION = "Given a query, retrieve passages that are relevant to it."
MODULES = (("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize"))


def export_model(
    weights: "Mapping[str, torch.Tensor]", *, run: RunFile, identity: Mapping[str, Any], folder: str | Path
) -> None:
    """Write the model folder, whole or not at all; the same weights give the same bytes.

    Config and tokenizer are the backbone's, in the forms of transformers 4 and 5. `weights` are all parameters by their
    name in the backbone, on the CPU; they are stored in float32.
    """
    from safetensors.torch import save_file

    backbone = Path(run.backbone_folder)
    with atomic_folder(folder) as aside:
        for path in sorted(backbone.iterdir()):
            if path.is_file() and ".safetensors" not in path.name:
                shutil.copyfile(path, aside / path.name)
        contiguous = {name: tensor.detach().float().contiguous() for name, tensor in weights.items()}
        save_file(contiguous, aside / WEIGHTS, metadata={"format": "pt"})
        (aside / WEIGHTS).chmod(0o644)  # safetensors leaves files that only their owner can read
        config, older_fault = in_both_forms(read_json(backbone / "config.json"))
        letters = spells_control_tokens(backbone)
        write_json(aside / "config.json", config)
        write_json(aside / SETTINGS, both_tokenizer_forms(read_json(backbone / SETTINGS), letters=letters))
        width = config["hidden_size"]
        _write_sentence_transformers(aside, run, width=width)
        card = model_card(run, width=width, letters=letters, older_fault=older_fault)
        (aside / "README.md").write_text(card, encoding="utf-8")
        write_json(aside / MODEL_FILE, _description(run, identity))


def prompts(run: RunFile) -> dict[str, str]:
    """What goes before a text, by name of the prompt: each source, "query" in general, and "document" (nothing)."""
    template = run.settings.backbone.query_prompt
    trained = {source.name for source in run.sources}
    instructions = {source.name: source.instruction for source in run.settings.sources if source.name in trained}
    named = {"query": GENERIC_INSTRUCTION} | instructions
    filled = {name: format_query(template, instruction=text, text="") for name, text in named.items()}
    return filled | {"document": ""}


def _write_sentence_transformers(folder: Path, run: RunFile, *, width: int) -> None:
    """Write the files that make the folder a SentenceTransformer: last token, unit length."""
    modules = [
        {"idx": place, "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (name, path, kind) in enumerate(MODULES)
    ]
    write_json(folder / "modules.json", modules)
    longest = max(run.settings.tokens.query_max_length, run.settings.tokens.passage_max_length)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    pooling = {"word_embedding_dimension": width, "pooling_mode_lasttoken": True, "include_prompt": True}
    others = dict.fromkeys(("pooling_mode_cls_token", "pooling_mode_mean_tokens", "pooling_mode_max_tokens"), False)
    for name, content in (("1_Pooling", pooling | others), ("2_Normalize", {})):
        (folder / name).mkdir()
        write_json(folder / name / "config.json", content)
    content = {"prompts": prompts(run), "default_prompt_name": None, "similarity_fn_name": "cosine"}
    write_json(folder / "config_sentence_transformers.json", content)


def _description(run: RunFile, identity: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": run.settings.run,
        "seed": run.settings.seed,
        "base_model": run.settings.backbone.name,
        "steps": run.steps,
        "matryoshka": [cut.dimensions for cut in run.settings.train.matryoshka],
        "variants": run.variants,
        "sources": [source.name for source in run.sources],
        "left_out": list(run.left_out),
        "barred": plain(run.settings.barred),
        "digests": dict(identity),
    }
