import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

WORDS = "the a cat dog river stone cloud tiger runs sleeps under over near old new red blue house tree bird".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "</s>"]


def save_tokenizer(folder, *, ending):
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if ending:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {ending}", special_tokens=[(ending, SPECIAL.index(ending))]
        )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)


@pytest.fixture(scope="session")
def decoder(tmp_path_factory):
    """A tiny causal model whose tokenizer ends texts in EOS."""
    folder = tmp_path_factory.mktemp("decoder")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    LlamaModel(config).save_pretrained(folder)
    save_tokenizer(folder, ending="</s>")
    return folder


@pytest.fixture(scope="session")
def bidirectional(tmp_path_factory):
    """A tiny BERT."""
    folder = tmp_path_factory.mktemp("bidirectional")
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=32, hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder, ending="[SEP]")
    return folder


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """A tiny causal model whose tokenizer adds no token."""
    folder = tmp_path_factory.mktemp("bare")
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64,
    )  # fmt: skip
    LlamaModel(config).save_pretrained(folder)
    save_tokenizer(folder, ending="")
    return folder


@pytest.fixture(scope="session")
def texts():
    """Sixty different texts of 1 to 30 words; many are longer than the 24 tokens that tests cut to."""
    return [" ".join(WORDS[(i * 7 + j * (i % 5 + 1)) % len(WORDS)] for j in range(i % 30 + 1)) for i in range(60)]
