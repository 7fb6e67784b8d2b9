"""Tokenizers that do by themselves what no stage then has to remember: end every text in EOS, spell control tokens.

Decoders that are pooled at the last token need every text to end in EOS, truncated ones too. A post-processor inside
tokenizer.json adds it: the tokenizer leaves room for it when it truncates. With `split_special_tokens` in
tokenizer_config.json the name of a control token (`<|im_end|>`, `[SEP]`) in a text is spelled in letters; those that
the post-processor adds are ids.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f2llm.records.errors import InputError
from f2llm.records.files import read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
SPELLED = "split_special_tokens"  # what transformers calls it that control tokens in a text are letters
PROBES = ("a", "alpha beta gamma delta epsilon zeta eta theta", "")
PROBE_LENGTH = 6
UNBOUNDED_TOKENS = 1 << 40  # a model_max_length above this is a default that nobody set
logger = logging.getLogger(__name__)


def finish_tokenizer(
    tokenizer: "PreTrainedTokenizerFast", *, append_eos: bool, letters: bool, most_tokens: int | None, where: str
) -> "PreTrainedTokenizerFast":
    """The tokenizer as the pipeline uses it: right padding, a pad token, EOS with `append_eos`, ready for `letters`.

    With `append_eos`, `tokenizer(text, truncation=True, max_length=L)` ends in EOS for every text and L, also after
    saving and loading with AutoTokenizer; a BOS that the tokenizer puts in front stays. A token that the tokenizer
    already puts behind a text counts as EOS, whatever its files declare. `most_tokens` is the longest input of the
    model. A missing pad token becomes EOS: the attention mask alone marks padding.

    Raises:
        InputError: no fast tokenizer (tokenizer.json), no EOS token, or nothing to pad with.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"{where}: the tokenizer has no tokenizer.json; convert it to a fast tokenizer first")
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    tokenizer.chat_template = None
    if most_tokens and tokenizer.model_max_length > UNBOUNDED_TOKENS:
        tokenizer.model_max_length = most_tokens
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    if letters and (names := _whole_names(tokenizer.backend_tokenizer)):
        tokenizer = _with_broken_names(tokenizer, names)
    if append_eos:
        tokenizer = _with_eos(tokenizer, where=where)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(f"{where}: the tokenizer has neither a pad nor an EOS token; declare one in its files")
        logger.warning("%s: no pad token; EOS stands in, told apart by the attention mask", where)
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _with_eos(tokenizer: "PreTrainedTokenizerFast", *, where: str) -> "PreTrainedTokenizerFast":
    from tokenizers.processors import TemplateProcessing

    before, behind = _added_tokens(tokenizer)
    eos = behind[0] if len(behind) == 1 else tokenizer.eos_token
    if eos is None:
        raise InputError(
            f"{where}: append_eos is set, but the tokenizer has no EOS token; declare eos_token in its files"
        )
    special = {token: tokenizer.convert_tokens_to_ids(token) for token in (*before, eos)}
    backend = tokenizer.backend_tokenizer
    single = [*before, "$A", eos]
    backend.post_processor = TemplateProcessing(
        single=single, pair=[*single, "$B:1", f"{eos}:1"], special_tokens=sorted(special.items())
    )
    return _generic(tokenizer, inputs=["input_ids", "attention_mask"], eos_token=eos)


def _generic(tokenizer: "PreTrainedTokenizerFast", *, inputs: list[str], **tokens: str) -> "PreTrainedTokenizerFast":
    """The tokenizer in the class that takes tokenizer.json as it is; those of an architecture rebuild parts of it."""
    from transformers import PreTrainedTokenizerFast

    named = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        padding_side="right",
        truncation_side="right",
        model_max_length=tokenizer.model_max_length,
        model_input_names=inputs,
        **named | tokens,
    )


def _with_broken_names(tokenizer: "PreTrainedTokenizerFast", names: list[str]) -> "PreTrainedTokenizerFast":
    """The tokenizer with a space in these names of control tokens, which the model's own vocabulary holds whole.

    `split_special_tokens` has no effect on those: vocabularies of pieces (Unigram, as of XLM-R and T5) and of words
    match `</s>` in a text like any other piece. The space stands behind the first letter, in such names alone.
    """
    from tokenizers.normalizers import Replace, Sequence

    backend = tokenizer.backend_tokenizer
    before = [backend.normalizer] if backend.normalizer else []
    broken = [Replace(name, f"{name[0]} {name[1:]}") for name in names if len(name) > 1]
    backend.normalizer = Sequence([*before, *broken])
    return _generic(tokenizer, inputs=list(tokenizer.model_input_names))


def _whole_names(backend: "Tokenizer") -> list[str]:
    """The control tokens that are still read as such when they are to be spelled."""
    backend.encode_special_tokens = True
    special = sorted(
        (token.content, number) for number, token in backend.get_added_tokens_decoder().items() if token.special
    )
    probes = backend.encode_batch([f"a {name} b" for name, _ in special], add_special_tokens=False)
    backend.encode_special_tokens = False
    return [name for (name, number), probe in zip(special, probes, strict=True) if number in probe.ids]


def both_tokenizer_forms(settings: Mapping[str, Any], *, letters: bool) -> dict[str, Any]:
    """tokenizer_config.json under names that transformers 4 and 5 read; with `letters` control tokens are spelled."""
    content = {key: value for key, value in settings.items() if key != SPELLED} | ({SPELLED: True} if letters else {})
    if content.get("tokenizer_class") == "TokenizersBackend":
        content["tokenizer_class"] = "PreTrainedTokenizerFast"
    # Version 4 knows this key with names only, and stops at a list.
    if isinstance(content.get("extra_special_tokens"), list):
        content["additional_special_tokens"] = content.pop("extra_special_tokens")
    return content


def spells_control_tokens(folder: str | Path) -> bool:
    """Whether the tokenizer in a model folder reads the names of control tokens in a text as letters."""
    path = Path(folder, SETTINGS)
    return bool(path.is_file() and read_json(path).get(SPELLED))


def control_tokens(folder: str | Path) -> list[str]:
    """The names of the control tokens of the tokenizer in a model folder: the special ones among its added tokens."""
    path = Path(folder, TOKENIZER)
    added = read_json(path).get("added_tokens", []) if path.is_file() else []
    return sorted({token["content"] for token in added if token.get("special")})


def check_prompts(prompts: Iterable[str], *, folder: str | Path, where: str) -> None:
    """Refuse prompts with control tokens for a model that would read their names as letters.

    Raises:
        InputError: a prompt holds one; names it.
    """
    if not spells_control_tokens(folder):
        return
    faults = [
        f"{where}: the prompt {prompt!r} holds the control token {name}, which is read as letters; set "
        "`control_tokens: tokens` in the model's stanza"
        for prompt in dict.fromkeys(prompts)
        for name in control_tokens(folder)
        if name in prompt
    ]
    if faults:
        raise InputError(faults)


def _added_tokens(tokenizer: "PreTrainedTokenizerFast") -> tuple[list[str], list[str]]:
    """The tokens (BOS, EOS or none) that the tokenizer puts before and behind a text."""
    bare = tokenizer(PROBES[0], add_special_tokens=False)["input_ids"]
    whole = tokenizer(PROBES[0])["input_ids"]
    start = next((start for start in range(len(whole)) if whole[start : start + len(bare)] == bare), None)
    if start is None:
        return [], []
    end = start + len(bare)
    return tokenizer.convert_ids_to_tokens(whole[:start]), tokenizer.convert_ids_to_tokens(whole[end:])


def check_saved_tokenizer(folder: str | Path, *, append_eos: bool, where: str) -> None:
    """Check that the saved tokenizer loads and, with `append_eos`, ends texts in exactly one EOS, truncated ones too.

    Logs a warning that names the control tokens which it cannot spell, though it is to.

    Raises:
        InputError: a text does not end so.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    for text in PROBES if append_eos else ():
        ids = tokenizer(text, truncation=True, max_length=PROBE_LENGTH)["input_ids"]
        if len(ids) > PROBE_LENGTH or ids[-1:] != [tokenizer.eos_token_id] or ids.count(tokenizer.eos_token_id) != 1:
            raise InputError(f"{where}: {text!r} becomes {ids}, which does not end in one EOS; use another tokenizer")
    if spells_control_tokens(folder) and (whole := _whole_names(tokenizer.backend_tokenizer)):
        logger.warning("%s: in a text %s stay control tokens: its vocabulary holds them whole", where, ", ".join(whole))
