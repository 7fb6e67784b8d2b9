"""The backbone made ready to train: what is frozen, what LoRA adds, and how that is merged into the weights again."""

from collections.abc import Mapping
from pathlib import Path

import torch

from f2llm.config.train import Lora
from f2llm.models.heads import LAYERS
from f2llm.models.network import load_packed
from f2llm.records.errors import InputError
from f2llm.records.ids import keyed_hash
from f2llm.runs.run_file import RunFile

ADAPTER = "default"


def load_backbone(run: RunFile) -> torch.nn.Module:
    """The backbone of a run in float32, with `requires_grad` set on its trainable parameters only.

    Raises:
        InputError: it is no causal decoder or has Dense layers, or its lengths or dimensions do not fit the settings.
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
    readable, width = getattr(model.config, "max_position_embeddings", longest), model.config.hidden_size
    faults = []
    if longest > readable:
        faults.append(f"{folder}: texts have up to {longest} tokens, the model reads {readable}; lower tokens")
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
    """Add low-rank matrices to the named linear layers, in place, and freeze everything else.

    They start without effect (one factor is zero); their values depend on the seed alone.

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
    """The weights under their names in the backbone, with LoRA merged in: W + alpha / rank x B A, in float32."""
    if lora is None:
        return dict(weights)
    whole = {name.replace(".base_layer.", "."): tensor for name, tensor in weights.items() if ".lora_" not in name}
    for name, down in weights.items():
        layer, is_down, _ = name.partition(f".lora_A.{ADAPTER}.")
        if is_down:
            weight, up = f"{layer}.weight", weights[f"{layer}.lora_B.{ADAPTER}.weight"]
            whole[weight] = whole[weight].float() + lora.alpha / lora.rank * up.float() @ down.float()
    return whole


def compile_layers(model: torch.nn.Module) -> None:
    """Compile every decoder layer but the last, whose hooks on last tokens change the shape with each batch."""
    for layer in list(model.layers)[:-1]:
        layer.compile(dynamic=True, fullgraph=True)
