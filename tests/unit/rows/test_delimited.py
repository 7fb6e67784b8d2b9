"""Comma- and tab-separated files: fields that are too many or too few, quotation marks, comments, names of columns."""

import logging

import pytest

from f2llm.records.errors import InputError
from f2llm.rows.layout import TOO_SHORT

QUOTED = 'query\tpositive\nwhich screen\ta 5" one\nwho said it\t"Hello" said the clerk\nwhich title\t"Ulysses\nhow long\ttwo weeks\n'


def pairs(rows):
    return [tuple(row.values()) for row in rows]


def test_a_comma_without_quotes_is_an_error_with_row_and_line(write, read):
    path = write("a.csv", "query,positive\nok,fine\n\nHow?,Open Settings, choose Account.\nWhere?,There, too\n")
    with pytest.raises(InputError) as found:
        read(path)
    first, second = found.value.faults
    assert first.startswith("a.csv: row 2 (line 4): 3 fields for 2 columns 'query', 'positive'; a text that holds")
    assert second.startswith("a.csv: row 3 (line 5): 3 fields")


@pytest.mark.parametrize("name", ["a.tsv", "a.TAB"])
def test_a_tab_too_many_is_an_error(write, read, name):
    with pytest.raises(InputError, match=rf"{name}: row 1 \(line 2\): 3 fields"):
        read(write(name, "query\tpositive\nq\tone\ttwo\n"))


def test_one_empty_field_at_the_end_of_each_row_is_harmless(write, read):
    assert pairs(read(write("a.csv", "query,positive\nq,p,\nr,s,\n"))) == [("q", "p"), ("r", "s")]
    with pytest.raises(InputError, match="4 fields"):
        read(write("b.csv", "query,positive\nq,p,,\n"))


def test_a_row_that_is_too_short_has_a_reason_of_its_own(write, read_needed):
    path = write("a.csv", "query,positive,note\nq,p,n\nalone\nr,s\n")
    values, left_out = read_needed(path, "query", "positive")
    assert [row["query"] for row in values] == ["q", "r"]  # the note of the last one is missing, and nobody needs it
    assert left_out == [(TOO_SHORT, 1)]
    assert read_needed(path, "query", "note")[1] == [(TOO_SHORT, 2)]


def test_quotation_marks_are_letters_where_tabs_part_the_fields(write, read):
    rows = pairs(read(write("a.tsv", QUOTED)))
    assert rows == [
        ("which screen", 'a 5" one'), ("who said it", '"Hello" said the clerk'), ("which title", '"Ulysses'),
        ("how long", "two weeks"),
    ]  # fmt: skip


def test_a_stanza_may_say_what_quotation_marks_are(write, read):
    assert pairs(read(write("a.tsv", 'q\tp\nx\t"one\ttwo ""three"""\n'), quoting="minimal")) == [
        ("x", 'one\ttwo "three"')
    ]
    assert pairs(read(write("a.csv", 'q,p\nx,"one\n'), quoting="none")) == [("x", '"one')]
    with pytest.raises(InputError, match="'all' is not known; write none or minimal"):
        read(write("a.csv", "q,p\n"), quoting="all")


@pytest.mark.parametrize("behind", ["how long,two weeks\n", "how long,two weeks\n" * 30, ""])
def test_a_quotation_mark_that_nobody_closes_is_an_error_where_it_opens(write, read, behind):
    path = write("a.csv", 'query,positive\nwho,the clerk\nwhich title,"Ulysses\n' + behind)
    with pytest.raises(
        InputError, match=r"a\.csv: row 2 \(line 3\): a quotation mark opens a text and nothing closes it"
    ):
        read(path)


def test_a_text_of_very_many_lines_is_an_error_where_it_opens(write, read):
    path = write("a.csv", 'text\nx\n"opens\n' + "line\n" * 10_001 + 'closes"\n')
    with pytest.raises(InputError, match=r"row 2 \(line 3\): a quotation mark opens a text of more than 10,000 lines"):
        read(path)


@pytest.mark.parametrize(("columns", "rows"), [(2, 20), (3, 10), (8, 4)])
def test_rows_between_two_stray_marks_are_not_taken_for_one_text(write, read, columns, rows):
    row = ",".join("abcdefgh"[:columns])
    path = write("a.csv", f'{row}\n{row[:-1]}"Ulysses\n' + f"{row}\n" * rows + f'{row[:-1]}5"\n')
    with pytest.raises(
        InputError, match=rf"row 1 \(line 2\): a quotation mark opens a text of {rows + 2} lines that look like rows"
    ):
        read(path)


def test_a_few_lines_like_rows_give_a_warning_and_prose_does_not(write, read, caplog):
    prose = 'q,p\nx,"Dear Sir,\nI am here, too.\nYours, always\nBob, the clerk"\n'
    with caplog.at_level(logging.WARNING):
        assert len(read(write("a.csv", prose))) == 1
        assert caplog.records == []
        assert len(read(write("b.csv", 'q,p\nx,"Ulysses\ny,two weeks\nz,5"\n'))) == 1
    assert "b.csv: row 1 (line 2): a quotation mark opens a text of 3 lines" in caplog.text


def test_letters_behind_a_closing_mark_are_an_error(write, read):
    with pytest.raises(InputError, match=r"a\.csv: row 1 \(line 2\): ',' expected after '\"'; .* `quoting: none`"):
        read(write("a.csv", 'query,positive\nwho said it,"Hello" said the clerk\n'))


def test_comments_are_lines_between_rows_and_never_inside_texts(write, read):
    path = write("a.csv", '# about\nq,p\n# between\n"how to","line one\n# not a comment\nline three"\n#\nx,y\n# end\n')
    assert pairs(read(path, comment="#")) == [("how to", "line one\n# not a comment\nline three"), ("x", "y")]


def test_a_column_twice_is_an_error(write, read):
    with pytest.raises(InputError, match=r"a\.csv: the column 'positive' is there twice"):
        read(write("a.csv", "query,positive,positive\nq,right,wrong\n"))
    with pytest.raises(InputError, match=r"option `columns`: the column 'a' is there twice"):
        read(write("b.csv", "1,2\n"), columns=["a", "a"])


def test_columns_without_a_name_are_called_by_their_place(write, read):
    assert read(write("a.csv", ",query,\n0,q,x\n")) == [{"column 1": "0", "query": "q", "column 3": "x"}]


def test_a_byte_order_mark_is_no_part_of_a_name(write, read):
    assert read(write("a.csv", "\ufeffquery\nq\n"), encoding="utf-8") == [{"query": "q"}]


def test_another_delimiter_is_advised_where_the_header_holds_one(write, read, read_needed):
    path = write("a.csv", "query;positive\nq;p\n")
    with pytest.raises(
        InputError, match="no column 'query'; it has 'query;positive': give the option `delimiter: ';'`"
    ):
        read_needed(path, "query")
    with pytest.raises(
        InputError, match="2 fields for the only column 'query;positive'; give the option `delimiter: ';'`"
    ):
        read(write("b.csv", "query;positive\nq;one, two\n"))
    assert pairs(read(path, delimiter=";")) == [("q", "p")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_the_first_one_does(write, read, end):
    assert pairs(read(write("a.csv", f'q,p{end}x,"one{end}two"{end}{end}y,z'))) == [("x", f"one{end}two"), ("y", "z")]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_carriage_return_in_a_text_without_marks_does_not_cut_it(write, read, name):
    mark = "\t" if name == "a.tsv" else ","
    with pytest.raises(
        InputError, match=r"row 1 \(line 2\): a carriage return stands in a text without marks around it"
    ):
        read(write(name, f"q{mark}p\nx{mark}one\rtwo\n"))


def test_blank_lines_are_no_rows_and_empty_texts_are(write, read):
    assert pairs(read(write("a.csv", 'text\n\n""\n\r\nx\n'))) == [("",), ("x",)]
    assert read(write("b.csv", "")) == []
