import pytest
from hypothesis import given
from hypothesis import strategies as st

from f2llm.records.text_keys import content_key, e1_text, e2_text, is_empty, without_ignorable


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


@pytest.mark.parametrize(
    "inserted",
    ["\u00ad", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u2060", "\u2062", "\u2066", "\ufeff", "\ufe0f",
     "\u034f", "\u061c", "\u180e", "\u3164", "\U000e0041", "\U000e0100", "&shy;", "&#8203;", "&zwnj;"],
)  # fmt: skip
def test_characters_that_are_not_displayed_are_in_no_key(inserted):
    text = f"the num{inserted}ber {inserted}"
    assert e1_text(text) == e2_text(text) == "the number"


def test_a_character_that_is_not_displayed_keeps_no_letter_from_its_mark():
    assert e1_text("cafe\u034f\u0301") == e2_text("cafe\u034f\u0301") == "caf\u00e9"


@pytest.mark.parametrize(
    ("text", "without"),
    [
        (
            "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc",
            "\u0646\u0627\u0645\u0647\u0627\u06cc",
        ),  # Persian: a letter, the names of
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u0937"),  # Hindi: another form of two letters
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3", "\u0dc1\u0dca\u0dbb\u0dd3"),  # Sinhala: Sri
        ("\U0001f469\u200d\U0001f467", "\U0001f469\U0001f467"),  # a family, a woman and a girl
        (
            "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
            "\U0001f3f4",
        ),  # Scotland, a black flag
    ],
)
def test_e1_keeps_joiners_that_make_another_word_or_emoji_and_e2_does_not(text, without):
    assert e1_text(text) == text
    assert e1_text(text) != e1_text(without)
    assert e2_text(text) == e2_text(without)


def test_joiners_that_join_nothing_are_left_out_of_e1():
    assert e1_text("Auf\u200clage") == "auflage"
    assert e1_text("\u200d\u0915\u094d\u200d \u0937") == "\u0915\u094d \u0937"
    assert e1_text("\u2764\ufe0f") == e1_text("\u2764")


def test_letters_of_other_scripts_that_look_alike_stay_apart():
    assert e1_text("p\u0430ypal") != e1_text("paypal")
    assert e2_text("p\u0430ypal") != e2_text("paypal")


@pytest.mark.parametrize(
    ("text", "empty"),
    [("", True), (" \n", True), ("\u200b", True), ("\ufeff \u00ad\u2060", True), ("\u200d", True), ("a", False),
     ("\u200ba", False), ("\u0301", False), ("\U0001f600", False)],
)  # fmt: skip
def test_a_text_of_what_is_not_displayed_is_empty(text, empty):
    assert is_empty(text) is empty


def test_texts_without_such_characters_come_back_as_they_are():
    text = "Stra\u00dfe \U0001f600 \u0939\u093f"
    assert without_ignorable(text) is text
    assert without_ignorable("a\u00adb") == "ab"


def test_e2_has_no_space_beside_letters_of_scripts_without_spaces():
    plain = "\u4f60\u597d\u4e16\u754chome assistant\u662f25\u4e2a30 40"
    assert e2_text("\u4f60\u597d\uff0c\u4e16\u754c! Home Assistant \u662f 25\u4e2a 30, 40") == plain
    assert e2_text("\ud55c\uad6d\uc5b4 \ubb38\uc7a5") == "\ud55c\uad6d\uc5b4 \ubb38\uc7a5"
