"""Batches of made-up tokens with F2LLM's lengths, and the models that read them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.train.lengths import SIGMA, draw_lengths, mixture, read_sources

# Ids that no model gives a meaning to here: upstream finds padding by its id, so it must differ from the end.
PAD, END, FIRST = 0, 1, 2
VOCABULARY = 8192
WORDS_IN_USE = 8000


class TokenBatch(NamedTuple):
    """A batch of one source before any trainer has touched it.

    Attributes:
        queries: token ids of each tuple's query.
        candidates: token ids of each tuple's positive, then of its negatives.
    """

    source: str
    task: str  # classification | clustering | retrieval
    queries: list[NDArray[np.int32]]
    candidates: list[list[NDArray[np.int32]]]

    def sequences(self) -> list[NDArray[np.int32]]:
        """Return all sequences as upstream lays them out: queries, positives, negatives tuple by tuple."""
        negatives = [passage for row in self.candidates for passage in row[1:]]
        return self.queries + [row[0] for row in self.candidates] + negatives

    @property
    def useful_tokens(self) -> int:
        """Tokens of all sequences, each counted as often as upstream encodes it."""
        return sum(map(len, self.sequences()))

    @property
    def padded_tokens(self) -> int:
        """Tokens when all sequences lie in one block as wide as the longest."""
        sequences = self.sequences()
        return len(sequences) * max(map(len, sequences))


def draw_batches(*, batches: int, tuples: int, seed: int, sigma: float = SIGMA) -> list[TokenBatch]:
    """Return batches of F2LLM's mixture, each of one source, with random token ids that end in END."""
    drawn = []
    for number, source in enumerate(mixture(read_sources(), batches=batches, seed=seed)):
        generator = np.random.default_rng([seed, number])
        lengths = draw_lengths(source, tuples=tuples, seed=seed, number=number, sigma=sigma)
        queries = [_tokens(generator, length) for length in lengths.query_B]
        if source.task == "classification":
            names = [_tokens(generator, lengths.candidate_BK[0, 0]) for _ in range(2)]
            sides = generator.integers(0, 2, tuples)
            candidates = [[names[side], names[1 - side]] for side in sides]
        else:
            candidates = [[_tokens(generator, length) for length in row] for row in lengths.candidate_BK]
        drawn.append(TokenBatch(source.name, source.task, queries, candidates))
    return drawn


def write_random_qwen3(folder: str | Path, *, layers: int = 2, width: int = 256) -> Path:
    """Write a random Qwen3 with a small vocabulary, so that layers and not the embedding table take the time.

    Heads of 64, two key heads for four query heads, feed-forward three times the width, as in Qwen3's own.
    """
    import torch
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, num_key_value_heads=width // 128, head_dim=64, max_position_embeddings=2048,
        eos_token_id=END, pad_token_id=PAD, bos_token_id=None,
    )  # fmt: skip
    Qwen3Model(config).save_pretrained(folder)
    return write_tokenizer(folder)


def write_tokenizer(folder: str | Path) -> Path:
    """Write the least tokenizer that lets libraries load the folder; batches come as ids, so nothing is tokenised."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({"<pad>": PAD, "<end>": END, "<unk>": FIRST}, unk_token="<unk>"))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", padding_side="right"
    ).save_pretrained(folder)
    return Path(folder)


def with_tokenizer(backbone: str | Path, folder: str | Path) -> Path:
    """Return a folder with links to the weights of `backbone` and the tokenizer of `write_tokenizer`."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).symlink_to(Path(backbone, name).resolve())
    return write_tokenizer(folder)


def _tokens(generator: np.random.Generator, length: int) -> NDArray[np.int32]:
    tokens = generator.integers(FIRST, WORDS_IN_USE, length, dtype=np.int32)
    tokens[-1] = END
    return tokens
