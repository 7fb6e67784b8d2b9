"""Curated texts of one source to rows of tokens, which the trainer maps into memory.

Row numbers are those of the curated tables. Every row ends in EOS, whose state becomes the vector of the text.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from f2llm.config.tokens import PromptedModel, Tokens
from f2llm.jobs.progress import Progress
from f2llm.models.prompts import format_query
from f2llm.models.tokenizers import SETTINGS, TOKENIZER, check_prompts, control_tokens, spells_control_tokens
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_file, write_json
from f2llm.records.ragged import OFFSETS, VALUES, write_rows
from f2llm.records.tables import ID, count_rows, read_batches, read_table

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEXTS_AT_ONCE = 1024
TOKENIZER_FILES = (TOKENIZER, SETTINGS)


def tokenise_source(
    *,
    corpus: str | Path,
    queries: str | Path,
    tokenizer_folder: str | Path,
    folder: str | Path,
    source: str,
    instruction: str,
    backbone: PromptedModel,
    settings: Tokens,
) -> dict[str, int]:
    """Write {passages,queries,positives}.{bin,offsets} and meta.json into `folder`; returns counts.

    Queries are tokenised with `instruction` in the backbone's prompt. `positives` are the corpus rows of each query's
    positives, ascending.

    Raises:
        InputError: the backbone does not end its texts in EOS, or a query's positive is not in the corpus.
    """
    refuse_untrainable(backbone)
    tokenizer, eos = _load_tokenizer(tokenizer_folder)
    check_prompts([backbone.query_prompt], folder=tokenizer_folder, where=f"model {backbone.name}")
    folder, names = Path(folder), control_tokens(tokenizer_folder)

    def prompted(text: str) -> str:
        return format_query(backbone.query_prompt, instruction=instruction, text=text)

    limits = settings.passage_max_length, settings.query_max_length
    passages, prompts = (
        _Tokeniser(tokenizer, eos, most=most, names=names, where=f"{source}: {role}")
        for most, role in zip(limits, ("passages", "queries"), strict=True)
    )
    write_rows(folder / "passages", passages.tokenise(corpus, str))
    write_rows(folder / "queries", prompts.tokenise(queries, prompted))
    write_rows(folder / "positives", [positive_rows(corpus, queries, where=source)])
    files = sorted(path for path in folder.iterdir() if path.suffix in {".bin", ".offsets"})
    meta = {
        "source": source,
        "tokenizer": {name: sha256_file(Path(tokenizer_folder) / name) for name in TOKENIZER_FILES},
        "eos_token_id": eos,
        "control_tokens": {
            "read_as": "letters" if tokenizer.encode_special_tokens else "tokens",
            "rows": {"passages": dict(sorted(passages.named.items())), "queries": dict(sorted(prompts.named.items()))},
        },
        "vocabulary": tokenizer.get_vocab_size(),
        "values": VALUES.str,
        "offsets": OFFSETS.str,
        "corpus_sha256": sha256_file(corpus),
        "queries_sha256": sha256_file(queries),
        "passages": passages.counts,
        "queries": prompts.counts,
        "files": {path.name: sha256_file(path) for path in files},
    }
    write_json(folder / "meta.json", meta)
    return {f"{name}_{key}": value for name in ("passages", "queries") for key, value in meta[name].items()}


def refuse_untrainable(backbone: PromptedModel) -> None:
    """Refuse a backbone whose texts are not pooled at a last token that is always EOS.

    Raises:
        InputError: its pooling is another, or it does not append EOS.
    """
    if backbone.pooling != "last":
        raise InputError(
            f"model {backbone.name}: pooling is {backbone.pooling!r}; only backbones pooled at the last token train"
        )
    if not backbone.append_eos:
        raise InputError(
            f"model {backbone.name}: append_eos is false with pooling last, so texts would be pooled at any word; "
            "set append_eos: true"
        )


def positive_rows(corpus: str | Path, queries: str | Path, *, where: str) -> list[list[int]]:
    """The corpus rows of each query's positives, ascending, in the order of the queries.

    Raises:
        InputError: a positive is not in the corpus.
    """
    ids = read_table(corpus, columns=["doc_id"])["doc_id"]
    table = read_table(queries, columns=["query_id", "positives"]).combine_chunks()
    lists = table["positives"].combine_chunks() if len(table) else pa.array([], pa.list_(ID))
    places = pc.index_in(lists.flatten(), value_set=ids)
    ends = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False))]).astype(np.int64)
    if places.null_count:
        lost = int(np.flatnonzero(places.is_null().to_numpy(zero_copy_only=False))[0])
        query = table["query_id"][int(np.searchsorted(ends, lost, side="right")) - 1].as_py().hex()
        raise InputError(f"{where}: a positive of query {query} is not in the corpus; run curate_source again")
    values = places.to_numpy(zero_copy_only=False)
    return [sorted(values[start:end].tolist()) for start, end in pairwise(ends)]


class _Tokeniser:
    """Tokenises the texts of one table.

    Attributes:
        counts: rows, tokens, the longest row, the rows that were cut and those with a control token's name in their
            text so far; the limit in tokens.
        named: control token -> rows whose text holds its name.
    """

    def __init__(self, tokenizer: "Tokenizer", eos: int, *, most: int, names: Sequence[str], where: str) -> None:
        self._tokenizer, self._eos, self._most, self._where = tokenizer, eos, most, where
        self._names = re.compile("|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or r"(?!)")
        self.counts = {"rows": 0, "tokens": 0, "longest": 0, "truncated": 0, "control_tokens": 0, "max_length": most}
        self.named: Counter[str] = Counter()

    def tokenise(self, table: str | Path, prompt: Callable[[str], str]) -> Iterator[list[list[int]]]:
        """The token rows of the column `text`, in batches; `prompt` makes the whole text that is tokenised."""
        with Progress(f"tokenise {self._where}", total=count_rows(table), unit="texts") as bar:
            for batch in read_batches(table, columns=["text"], rows=TEXTS_AT_ONCE):
                texts = batch.column("text").to_pylist()
                self._count_names(texts)
                yield self._rows_of([prompt(text) for text in texts])
                bar.advance(len(texts))

    def _count_names(self, texts: Sequence[str]) -> None:
        for names in filter(None, (set(self._names.findall(text)) for text in texts)):
            self.counts["control_tokens"] += 1
            self.named.update(names)

    def _rows_of(self, texts: Sequence[str]) -> list[list[int]]:
        self._tokenizer.enable_truncation(self._most)
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        rows = [text.ids for text in encoded]
        for place, row in enumerate(rows):
            if not row or row[-1] != self._eos or len(row) > self._most:
                raise InputError(
                    f"{self._where}: row {self.counts['rows'] + place} does not end in EOS within {self._most} tokens; "
                    "the tokenizer must append EOS: prepare the model with append_eos: true"
                )
        self.counts["rows"] += len(rows)
        self.counts["tokens"] += sum(map(len, rows))
        self.counts["longest"] = max(self.counts["longest"], *map(len, rows))
        self.counts["truncated"] += sum(bool(text.overflowing) for text in encoded)
        return rows


def _load_tokenizer(folder: str | Path) -> tuple["Tokenizer", int]:
    """The tokenizer, without the padding and the limit stored in its file, and the id of EOS.

    Read by `tokenizers` alone: transformers takes seconds to import and would give the same tokens.
    """
    from tokenizers import Tokenizer

    if missing := [name for name in TOKENIZER_FILES if not (Path(folder) / name).is_file()]:
        raise InputError(f"{folder}: {' and '.join(missing)} missing; prepare the model first")
    tokenizer = Tokenizer.from_file(str(Path(folder) / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = spells_control_tokens(folder)
    named = read_json(Path(folder) / SETTINGS).get("eos_token")
    eos = tokenizer.token_to_id(named["content"] if isinstance(named, dict) else str(named))
    if eos is None:
        raise InputError(f"{folder}: the tokenizer has no EOS token; use a model whose tokenizer_config.json names it")
    return tokenizer, eos
