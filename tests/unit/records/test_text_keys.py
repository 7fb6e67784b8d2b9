import pytest
from hypothesis import given
from hypothesis import strategies as st

from f2llm.records.text_keys import content_key, e1_text, e2_text, spaced


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


@given(st.text("aB9_ .-<b>/&amp;\t\x1c\u00a0", max_size=20))
def test_plain_ascii_has_the_forms_of_any_text(text):
    # A letter beyond ASCII, set apart, takes the general way and comes back as it is.
    assert e1_text(text + " \u00e9") == " ".join([e1_text(text), "\u00e9"]).strip()
    assert e2_text(text + " \u00e9") == " ".join([e2_text(text), "\u00e9"]).strip()


@pytest.mark.parametrize(("text", "form"), [
    ("one<br/>two", "one two"), ('<a href="x">link</A> <p class=y>t</p>', "link t"), ("vector<int> v", "vector int v"),
    ("a <b and c> d", "a d"), ("if a <c: d>e", "if a c d e"),
])  # fmt: skip
def test_e2_leaves_out_html_tags_and_keeps_what_only_looks_like_one(text, form):
    assert e2_text(text) == form


def test_letters_of_scripts_without_spaces_are_words():
    assert spaced("\u4e2d\u6587abc \u0e44\u0e17\u0e22") == "\u4e2d \u6587 abc \u0e44 \u0e17 \u0e22"
    assert spaced("plain words") == "plain words"
    assert spaced("\u0939\u093f\u0928\u094d\u0926\u0940 stays") == "\u0939\u093f\u0928\u094d\u0926\u0940 stays"
