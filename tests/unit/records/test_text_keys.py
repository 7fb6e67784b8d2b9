import pytest

from f2llm.records.text_keys import content_key, e1_text, e2_text


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Hello  World", "hello world"),
        ("a &amp; b", "A & B"),
        ("\ufb01ne", "fine"),
        ("Stra\u00dfe", "STRASSE"),
        ("a\u00a0b\n", "a b"),
    ],
)
def test_e1_joins_what_only_looks_different(left, right):
    assert content_key(left) == content_key(right)


def test_e1_keeps_every_character_with_a_meaning():
    assert e1_text("C++ compiler") != e1_text("C compiler")
    assert content_key("C++ compiler") != content_key("C compiler")


def test_e2_keeps_letters_marks_and_digits_only():
    assert e2_text("C++ compiler, v2!") == "c compiler v2"
    assert e2_text("<b>bold</b> &lt;i&gt;") == "bold"


def test_e2_keeps_hindi_vowel_signs():
    assert e2_text("\u0939\u093f\u0928\u094d\u0926\u0940") == "\u0939\u093f\u0928\u094d\u0926\u0940"
