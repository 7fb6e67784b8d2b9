import pytest
import torch

from f2llm.models.device import resolve_precision
from f2llm.models.encoder import pool
from f2llm.models.prompts import format_query
from f2llm.records.errors import InputError


def test_a_prompt_is_the_template_with_the_instruction_then_the_text():
    template = "Instruct: {instruction}\nQuery: "
    assert format_query(template, instruction="Find it.", text="where?") == "Instruct: Find it.\nQuery: where?"


def test_an_empty_template_leaves_the_text_as_it_is():
    assert format_query("", instruction="Find it.", text="where?") == "where?"


def test_braces_in_texts_and_instructions_mean_nothing():
    assert format_query("{instruction}|", instruction="a {x}", text="{instruction} {0}") == "a {x}|{instruction} {0}"


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [("fpu avx512_bf16 sse", "bfloat16"), ("fpu amx_bf16", "bfloat16"), ("fpu avx512f avx512_bf16x", "float32")],
)
def test_auto_takes_bfloat16_where_the_processor_computes_in_it(tmp_path, monkeypatch, flags, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: amx_bf16\n")
    assert resolve_precision("auto", cpuinfo=tmp_path / "cpuinfo") == wanted


def test_auto_is_float32_where_nothing_is_known_of_the_processor(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_precision("auto", cpuinfo=tmp_path / "absent") == "float32"


@pytest.mark.parametrize("able", [True, False])
def test_auto_asks_the_gpu_where_there_is_one(tmp_path, monkeypatch, able):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: able)
    assert resolve_precision("auto", cpuinfo=tmp_path / "absent") == ("bfloat16" if able else "float32")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_given_precision_is_kept(precision):
    assert resolve_precision(precision) == precision


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="'float16' is not one of"):
        resolve_precision("float16")


HIDDEN = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[1.0, 0.0], [9.0, 9.0], [9.0, float("nan")]]])
LENGTHS = torch.tensor([3, 1])


@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [("last", [[5, 6], [1, 0]]), ("cls", [[1, 2], [1, 0]]), ("mean", [[3, 4], [1, 0]])],
)
def test_pooling_reads_no_padding(pooling, wanted):
    assert pool(HIDDEN, LENGTHS, pooling=pooling).tolist() == wanted


@pytest.mark.parametrize("pooling", ["last", "cls", "mean"])
def test_pooling_is_in_float32(pooling):
    assert pool(HIDDEN.bfloat16(), LENGTHS, pooling=pooling).dtype == torch.float32


def test_mean_pooling_sums_in_float32():
    # In bfloat16 256 + 1 is 256.
    hidden = torch.tensor([[[256.0], [1.0]]]).bfloat16()
    assert pool(hidden, torch.tensor([2]), pooling="mean").item() == 128.5


def test_an_unknown_pooling_is_refused():
    with pytest.raises(InputError, match="'max' is not one of last, mean, cls"):
        pool(HIDDEN, LENGTHS, pooling="max")
