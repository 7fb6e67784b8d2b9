"""The exported folder gives the trainer's vectors in transformers 4 and 5 and in sentence-transformers 5 and 6.

`F2LLM_MODEL` names one more folder to compare. The figures are printed (pytest -s).
"""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel

from f2llm.config.fetch import Fetch, FetchedModel
from f2llm.config.rights import Licence
from f2llm.models.config_forms import SAME_IN_BOTH, in_both_forms
from f2llm.models.encoder import Encoder
from f2llm.models.network import load_packed
from f2llm.records.files import read_json, write_json
from f2llm.runs.run_file import read_run_file
from f2llm.sources.models import prepare_model
from f2llm.train.export import export_model

# Largest difference of a number of a unit vector; of a state of the last layer, as a share of the largest.
VECTOR, STATE = 1e-5, 1e-5
TEXTS = [
    "river",
    "the river number is here " * 30,
    "the tiger\tand\nthe piano",
    "Größe, naïve café, 東京の川, река, 🦊 and \u200bnothing",
    "the end <|im_end|> of <eos> a turn",
    "<eos>",
    "<pad><eos><pad>",
    "[SEP] </s> <s> [MASK]",
    "x",
]
ROPE = {"rope_theta": 500000.0}
EACH = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]
LONG = {"short_factor": EACH, "long_factor": [2 * f for f in EACH], "original_max_position_embeddings": 32}
SCALINGS = {
    "linear": {"factor": 2.0},
    "dynamic": {"factor": 2.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 24},
    "llama3": {
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
    },
    "longrope": {"factor": 2.0, **LONG},
}  # fmt: skip
SHAPE = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
WITHOUT_ROTATION = {
    "albert", "bert", "camembert", "deberta-v2", "distilbert", "electra", "gpt2", "mpnet", "opt", "roberta",
    "xlm-roberta",
}  # fmt: skip
BY_LAYER = {"gemma3_text", "modernbert"}


@pytest.fixture(scope="session")
def exported(toy, tmp_path_factory):
    """A trained toy: its backbone has another rotary base than the default, and was prepared by the pipeline."""
    home = tmp_path_factory.mktemp("exported")
    raw = toy.write_backbone(home / "raw")
    config = read_json(raw / "config.json")
    write_json(raw / "config.json", config | {"rope_parameters": {"rope_type": "default", **ROPE}})
    stanza = FetchedModel(
        name="tiny", fetch=Fetch(kind="local", path="raw"), format="folder", member="", layers=None, pooling="last",
        append_eos=True, control_tokens="letters", licence=Licence(id="CC0-1.0", commercial="yes", note=""),
        geometry=None,
    )  # fmt: skip
    with contextlib.chdir(home):
        prepare_model(stanza, folder=home / "model", manifest=home / "manifest.json")
    run = read_run_file(toy.plan_toy(home))
    weights = load_packed(run.backbone_folder).state_dict()
    export_model(weights, run=run, identity={}, folder=home / "out")
    return home / "out"


@pytest.mark.parametrize("overlay", ["older", "locked"])
@pytest.mark.parametrize("which", ["toy", "F2LLM_MODEL"])
def test_a_client_s_vectors_are_the_trainer_s(exported, client, tmp_path, which, overlay):
    if which != "toy" and not os.environ.get(which):
        pytest.skip("F2LLM_MODEL names no folder")
    folder = exported if which == "toy" else Path(os.environ[which])
    texts = [prompt + text for prompt in ("", "Instruct: Find it.\nQuery: ") for text in TEXTS]
    write_json(tmp_path / "texts.json", texts)
    client(overlay, "vectors", folder, tmp_path / "texts.json", tmp_path / "out.npz")
    longest = read_json(f"{folder}/sentence_bert_config.json")["max_seq_length"]
    ours = Encoder.load(folder, pooling="last", max_length=longest, precision="float32", device="cpu")
    expected = ours.encode(texts, what="texts")
    theirs = np.load(tmp_path / "out.npz")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert json.loads(str(theirs["tokens"])) == tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
    far = {name: float(np.abs(theirs[name] - expected).max()) for name in ("plain", "sentence")}
    print(f"{overlay}, {which}: largest difference {far}, lowest cosine {(theirs['sentence'] * expected).sum(1).min()}")
    assert max(far.values()) <= VECTOR


def test_control_tokens_in_a_text_are_no_control_tokens(exported):
    tokenizer = AutoTokenizer.from_pretrained(exported)
    special = set(tokenizer.all_special_ids)
    assert not any(special & set(tokenizer(text, truncation=True)["input_ids"][:-1]) for text in TEXTS)


def test_every_architecture_and_scaling_that_is_said_to_be_the_same_gives_the_same_states(client, tmp_path):
    names = []
    for name, kind, rope in [
        *((kind, kind, {}) for kind in sorted(SAME_IN_BOTH)),
        *((f"{kind}-{scaling}", kind, {"rope_type": scaling, **keys})
          for kind in ("llama", "qwen3") for scaling, keys in SCALINGS.items()),
        ("phi3-longrope", "phi3", {"rope_type": "longrope", **LONG}),
        ("phi-part", "phi", {"partial_rotary_factor": 0.5}),
    ]:  # fmt: skip
        _write_model(tmp_path / "models" / name, kind, rope)
        names.append(name)
    states = {}
    for overlay in ("older", "locked"):
        (tmp_path / overlay).mkdir()
        client(overlay, "states", tmp_path / overlay, *(tmp_path / "models" / name for name in names))
        states[overlay] = {name: np.load(tmp_path / overlay / f"{name}.npy") for name in names}
    far = {
        name: float(np.abs(states["older"][name] - state).max() / np.abs(state).max())
        for name, state in states["locked"].items()
    }
    print(f"largest difference of {len(far)} models: {max(far.values())}")
    assert {name: share for name, share in far.items() if share > STATE} == {}


def test_a_bert_that_was_prepared_reads_control_tokens_as_letters_in_version_4(client, toy, tmp_path, monkeypatch):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    monkeypatch.chdir(tmp_path)
    words = {word: place for place, word in enumerate(["[PAD]", "[SEP]", "[CLS]", "[UNK]", "a", "[", "]", "SEP"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 1)]
    )
    names = {"pad_token": "[PAD]", "sep_token": "[SEP]", "cls_token": "[CLS]", "unk_token": "[UNK]"}
    further = {"additional_special_tokens": ["[CLS]"]}  # a list, which version 4 knows under an older name
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names, **further).save_pretrained("raw")
    config = BertConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained("raw")
    stanza = FetchedModel(
        name="bert", fetch=Fetch(kind="local", path="raw"), format="folder", member="", layers=None, pooling="mean",
        append_eos=False, control_tokens="letters", licence=Licence(id="CC0-1.0", commercial="yes", note=""),
        geometry=None,
    )  # fmt: skip
    prepare_model(stanza, folder="out", manifest="manifest.json")
    for overlay in ("older", "locked"):
        assert json.loads(client(overlay, "ids", "out", "a [SEP] a")) == [2, 4, 5, 7, 6, 4, 1]


def _write_model(folder, kind, rope):
    """A tiny random model whose rotary base is not the default, with a config.json of both forms."""
    shape = SHAPE | {"head_dim": 16}
    parameters = {"rope_type": "default", **ROPE, **rope}
    if kind in BY_LAYER:
        local = {"rope_type": "default", "rope_theta": 20000.0}
        shape |= {"rope_parameters": {"full_attention": parameters, "sliding_attention": local}, "sliding_window": 8}
    elif kind not in WITHOUT_ROTATION:
        shape |= {"rope_parameters": parameters}
    else:
        shape |= {"max_position_embeddings": 80}
    if kind == "phi3":
        shape |= {"original_max_position_embeddings": 32}
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **shape), dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2 if parameter.ndim > 1 else parameter + 0.1)
    model.save_pretrained(folder)
    forms = in_both_forms(read_json(folder / "config.json"))
    assert forms.older_fault == "", kind
    write_json(folder / "config.json", forms.config)
