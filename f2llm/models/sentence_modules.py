"""Pooling and dense layers that a model of sentence-transformers has after its transformer, from modules.json."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from f2llm.models.heads import ACTIVATIONS, LAYERS, WEIGHTS
from f2llm.records.errors import InputError
from f2llm.records.files import check_member_name, read_json, write_json

if TYPE_CHECKING:
    import torch

MODULES = ("Transformer", "Pooling", "Dense", "Normalize")
PICKLED = "pytorch_model.bin"
# Our poolings -> their keys in 1_Pooling/config.json.
POOLING_MODES = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
logger = logging.getLogger(__name__)


class ListedModule(NamedTuple):
    """An entry of modules.json: the last part of its class's name, and its folder."""

    kind: str
    path: str


def check_modules(folder: Path, *, pooling: str, where: str) -> list[ListedModule]:
    """The Dense modules of a model in their order; logs a warning where the model has another pooling than `pooling`.

    Raises:
        InputError: vectors go through a module or an order of modules that is not supported, or a module's folder lies
            outside of the model's.
    """
    path = folder / "modules.json"
    listed = read_json(path) if path.is_file() else []
    modules = [
        ListedModule(str(entry.get("type", "")).rpartition(".")[2], str(entry.get("path", ""))) for entry in listed
    ]
    kinds = [module.kind for module in modules]
    unsupported = [kind for kind in kinds if kind not in MODULES]
    if unsupported:
        raise InputError(
            f"{where}: modules.json: its vectors go through {', '.join(unsupported)}, which is not supported; use a "
            f"model of {', '.join(MODULES)} alone, or its vectors as `format: vectors`"
        )
    if kinds != sorted(kinds, key=MODULES.index):
        raise InputError(
            f"{where}: modules.json: {', '.join(kinds)} is an order that is not supported (it is "
            f"{', '.join(MODULES)}); use its vectors as `format: vectors`"
        )
    for module in modules:
        if module.path:
            check_member_name(module.path, where=f"{where}: modules.json")
        if module.kind == "Pooling":
            _compare_pooling(folder / module.path / "config.json", pooling, where=where)
    return [module for module in modules if module.kind == "Dense"]


def store_dense(origin: Path, modules: list[ListedModule], aside: Path, *, width: int, where: str) -> int:
    """Write the Dense layers of `origin` into the model folder `aside`; return the length of a vector after them.

    `width` is its length before them.

    Raises:
        InputError: a folder lacks its files, weights are pickled, or shapes or settings are not supported.
    """
    if not modules:
        return width
    from safetensors.torch import save_file

    weights: dict[str, torch.Tensor] = {}
    layers: list[dict[str, Any]] = []
    for number, module in enumerate(modules):
        layer_name = f"{where}: {module.path}"
        config, tensors = _read_dense(origin / module.path, where=layer_name)
        weight_OI, bias_O = tensors.get("linear.weight"), tensors.get("linear.bias")
        if weight_OI is None or weight_OI.ndim != 2 or weight_OI.shape[1] != width:
            shape = None if weight_OI is None else list(weight_OI.shape)
            raise InputError(f"{layer_name}: linear.weight is {shape}, it is to read {width} numbers; mend the model")
        weights[f"{number}.weight"] = weight_OI.float().contiguous()
        if bias_O is not None:
            weights[f"{number}.bias"] = bias_O.float().contiguous()
        layers.append({"activation": _activation(config, where=layer_name), "in": width, "out": len(weight_OI)})
        width = len(weight_OI)
    save_file(weights, aside / WEIGHTS)
    (aside / WEIGHTS).chmod(0o644)
    write_json(aside / LAYERS, {"dim": width, "layers": layers})
    return width


def _read_dense(folder: Path, *, where: str) -> "tuple[dict[str, Any], dict[str, torch.Tensor]]":
    from safetensors.torch import load_file

    names = ("config.json", "model.safetensors")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing and (folder / PICKLED).is_file():
        raise InputError(f"{where}: only pickled weights ({PICKLED}), which can run code; use .safetensors files")
    if missing:
        raise InputError(f"{where}: there is no {' and no '.join(missing)}; add them to `files` of the stanza")
    config = read_json(folder / names[0])
    return config, load_file(folder / names[1])


def _activation(config: dict[str, Any], *, where: str) -> str:
    name = str(config.get("activation_function") or "Identity").rpartition(".")[2]
    key = "sentence_embedding"
    read, written = config.get("module_input_name", key), config.get("module_output_name") or key
    if name not in ACTIVATIONS or config.get("use_residual") or (read, written) != (key, key):
        raise InputError(
            f"{where}/config.json: activation {name}, residual {bool(config.get('use_residual'))}, from {read} to "
            f"{written} is not supported; it is {', '.join(ACTIVATIONS)} over the pooled vector"
        )
    return name


def _compare_pooling(path: Path, pooling: str, *, where: str) -> None:
    config = read_json(path) if path.is_file() else {}
    mode = config.get("pooling_mode")
    poolings = [name for name, key in POOLING_MODES.items() if config.get(key) or mode in (name, key)]
    if poolings and poolings != [pooling]:
        logger.warning("%s: pooling is %s, the model's own is %s", where, pooling, ", ".join(poolings))
