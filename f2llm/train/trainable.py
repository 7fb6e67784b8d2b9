"""The backbone made ready to train: what is frozen, what is added, and merged again at the end."""

from collections.abc import Mapping
from pathlib import Path

import torch

from f2llm.config.train import Lora
from f2llm.errors import InputError
from f2llm.models.backbone import load_packed
from f2llm.models.heads import LAYERS
from f2llm.records.ids import keyed_hash
from f2llm.runs.run_file import RunFile

ADAPTER = "default"


def load_backbone(run: RunFile) -> torch.nn.Module:
    """Return the backbone of a run with its trainable parameters marked, in float32.

    Raises:
        InputError: its layers cannot be found, texts are longer than it reads, or settings do not fit it.
    """
    folder, settings = run.backbone_folder, run.settings.train
    model = load_packed(folder)
    if not hasattr(model, "layers"):
        raise InputError(f"{folder}: {type(model).__name__} has no `layers`; use a causal decoder")
    if Path(folder, LAYERS).is_file():
        raise InputError(
            f"{folder}: its vectors go through Dense layers behind pooling, which are not trained; use a model "
            "without them as the backbone"
        )
    longest = max(run.settings.tokens.query_max_length, run.settings.tokens.passage_max_length)
    most, width = getattr(model.config, "max_position_embeddings", longest), model.config.hidden_size
    faults = []
    if longest > most:
        faults.append(f"{folder}: texts have up to {longest} tokens, the model reads {most}; lower tokens")
    faults += [
        f"{folder}: matryoshka wants {cut.dimensions} dimensions, the model has {width}; lower it"
        for cut in settings.matryoshka
        if cut.dimensions > width
    ]
    if faults:
        raise InputError(faults)
    if settings.lora:
        add_lora(model, settings.lora, seed=run.settings.seed)
    if settings.freeze_embeddings:
        model.get_input_embeddings().requires_grad_(False)
    return model


def add_lora(model: torch.nn.Module, lora: Lora, *, seed: int) -> None:
    """Put low-rank additions on the named linear layers, in place, and freeze all else.

    They start as nothing (one factor is zero) and are keyed by the seed alone.

    Raises:
        InputError: a name of `targets` fits no layer.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    unknown = sorted(set(lora.targets) - names)
    if unknown:
        raise InputError(
            f"train.lora.targets: {', '.join(unknown)} fits no linear layer; "
            f"this backbone has {', '.join(sorted(names))}"
        )
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets), lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_hash(seed, "lora") % 2**63)
        inject_adapter_in_model(config, model, adapter_name=ADAPTER)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name)


def merged(weights: Mapping[str, torch.Tensor], lora: Lora | None) -> dict[str, torch.Tensor]:
    """Return the weights under the backbone's own names, additions merged: W + alpha / rank x B A, in float32."""
    if lora is None:
        return dict(weights)
    whole = {name.replace(".base_layer.", "."): tensor for name, tensor in weights.items() if ".lora_" not in name}
    for name, down in weights.items():
        layer, found, _ = name.partition(f".lora_A.{ADAPTER}.")
        if found:
            up = weights[f"{layer}.lora_B.{ADAPTER}.weight"]
            whole[f"{layer}.weight"] = (
                whole[f"{layer}.weight"].float() + lora.alpha / lora.rank * up.float() @ down.float()
            )
    return whole


def compile_layers(model: torch.nn.Module) -> None:
    """Compile every decoder layer but the last, whose last-token hooks change shape with each batch."""
    for layer in list(model.layers)[:-1]:
        layer.compile(dynamic=True, fullgraph=True)
