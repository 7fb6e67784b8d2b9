"""Tokenizers that end every text in EOS by themselves, so that no stage has to remember it.

Decoders that are pooled at the last token need every text to end in EOS, truncated ones too. A post-processor inside
tokenizer.json adds it: the tokenizer leaves room for it when it truncates.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PROBES = ("a", "alpha beta gamma delta epsilon zeta eta theta", "")
PROBE_LENGTH = 6
UNBOUNDED_TOKENS = 1 << 40  # a model_max_length above this is a default that nobody set
logger = logging.getLogger(__name__)


def finish_tokenizer(
    tokenizer: "PreTrainedTokenizerFast", *, append_eos: bool, most_tokens: int | None, where: str
) -> "PreTrainedTokenizerFast":
    """The tokenizer as the pipeline uses it: right padding, a pad token, EOS with `append_eos`.

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
    from transformers import PreTrainedTokenizerFast

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
    named = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    # The generic class takes tokenizer.json as it is; classes of an architecture may rebuild the post-processor.
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        padding_side="right",
        truncation_side="right",
        model_max_length=tokenizer.model_max_length,
        model_input_names=["input_ids", "attention_mask"],
        **named | {"eos_token": eos},
    )


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

    Raises:
        InputError: a text does not end so.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    for text in PROBES if append_eos else ():
        ids = tokenizer(text, truncation=True, max_length=PROBE_LENGTH)["input_ids"]
        if len(ids) > PROBE_LENGTH or ids[-1:] != [tokenizer.eos_token_id] or ids.count(tokenizer.eos_token_id) != 1:
            raise InputError(f"{where}: {text!r} becomes {ids}, which does not end in one EOS; use another tokenizer")
