"""What a model of sentence-transformers does behind its transformer, read from modules.json and its folders."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from f2llm.errors import InputError
from f2llm.models.heads import ACTIVATIONS, LAYERS, WEIGHTS
from f2llm.records.files import check_member_name, write_json

if TYPE_CHECKING:
    import torch

MODULES = ("Transformer", "Pooling", "Dense", "Normalize")
PICKLED = "pytorch_model.bin"
# What 1_Pooling/config.json calls our poolings.
POOLING_MODES = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
logger = logging.getLogger(__name__)


class Module(NamedTuple):
    """A line of modules.json: the last part of its class's name, and its folder."""

    kind: str
    path: str


def check_modules(folder: Path, *, pooling: str, where: str) -> list[Module]:
    """Return the Dense modules of a model in their order; note where its own pooling is another than `pooling`.

    Raises:
        InputError: vectors go through a module that an encoder here does not have, or through one in an order
            that it does not run, or a module's folder leads out of the model's.
    """
    path = folder / "modules.json"
    listed = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    found = [Module(str(one.get("type", "")).rpartition(".")[2], str(one.get("path", ""))) for one in listed]
    kinds = [module.kind for module in found]
    other = [kind for kind in kinds if kind not in MODULES]
    if other:
        raise InputError(
            f"{where}: modules.json: its vectors go through {', '.join(other)}, which is not supported; use a model of "
            f"{', '.join(MODULES)} alone, or its vectors as `format: vectors`"
        )
    if kinds != sorted(kinds, key=MODULES.index):
        raise InputError(
            f"{where}: modules.json: {', '.join(kinds)} is an order that is not supported (it is "
            f"{', '.join(MODULES)}); use its vectors as `format: vectors`"
        )
    for module in found:
        if module.path:
            check_member_name(module.path, where=f"{where}: modules.json")
    for module in (module for module in found if module.kind == "Pooling"):
        _compare_pooling(folder / module.path / "config.json", pooling, where=where)
    return [module for module in found if module.kind == "Dense"]


def store_dense(origin: Path, modules: list[Module], aside: Path, *, width: int, where: str) -> int:
    """Write the Dense layers of `origin` into a model folder; return how many numbers a vector has after them.

    Raises:
        InputError: a folder lacks its files, weights are pickled, or shapes or settings are not supported.
    """
    if not modules:
        return width
    from safetensors.torch import save_file

    weights: dict[str, torch.Tensor] = {}
    layers: list[dict[str, Any]] = []
    for at, module in enumerate(modules):
        place = f"{where}: {module.path}"
        config, tensors = _read_dense(origin / module.path, where=place)
        weight_OI, bias_O = tensors.get("linear.weight"), tensors.get("linear.bias")
        if weight_OI is None or weight_OI.ndim != 2 or weight_OI.shape[1] != width:
            found = None if weight_OI is None else list(weight_OI.shape)
            raise InputError(f"{place}: linear.weight is {found}, it is to read {width} numbers; mend the model")
        weights[f"{at}.weight"] = weight_OI.float().contiguous()
        if bias_O is not None:
            weights[f"{at}.bias"] = bias_O.float().contiguous()
        layers.append({"activation": _activation(config, where=place), "in": width, "out": len(weight_OI)})
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
    config = json.loads((folder / names[0]).read_text(encoding="utf-8"))
    return config, load_file(folder / names[1])


def _activation(config: dict[str, Any], *, where: str) -> str:
    name = str(config.get("activation_function") or "Identity").rpartition(".")[2]
    key = "sentence_embedding"
    others = [config.get("module_input_name", key), config.get("module_output_name") or key]
    if name not in ACTIVATIONS or config.get("use_residual") or others != [key, key]:
        raise InputError(
            f"{where}/config.json: activation {name}, residual {bool(config.get('use_residual'))}, from {others[0]} to "
            f"{others[1]} is not supported; it is {', '.join(ACTIVATIONS)} over the pooled vector"
        )
    return name


def _compare_pooling(path: Path, pooling: str, *, where: str) -> None:
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    mode = config.get("pooling_mode")
    own = [name for name, key in POOLING_MODES.items() if config.get(key) or mode in (name, key)]
    if own and own != [pooling]:
        logger.warning("%s: pooling is %s, the model's own is %s", where, pooling, ", ".join(own))
