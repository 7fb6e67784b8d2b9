"""Every adapter on a few literal rows: what becomes a record, what is skipped and why."""

import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.records.errors import InputError
from f2llm.records.ids import split_of
from f2llm.rows.archives import RawFile
from f2llm.sources.adapters import read_records
from f2llm.sources.records import Labelled, Pair, Passage, Query, Skipped

OBO = r"""format-version: 1.2

[Term]
id: T:1
name: Phenotypic abnormality

[Term]
id: T:2
name: Abnormality of the eye
def: "Of the eye." []
is_a: T:1 ! Phenotypic abnormality

[Term]
id: T:3
name: Short stature
def: "A \"small\" height." [PMID:1]
is_a: T:2 ! Abnormality of the eye

[Term]
id: T:4
name: obsolete Old
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
ICD = """<?xml version="1.0"?><ICD10CM.tabular>
<chapter><name>1</name><desc>Infections (A00-B99)</desc><diag><name>A00</name><desc>Cholera</desc>
 <inclusionTerm><note>Asiatic  cholera</note><note>cholera</note></inclusionTerm>
 <diag><name>A00.0</name><desc>Cholera due to Vibrio</desc></diag></diag></chapter>
<chapter><name>19</name><desc>Injury (S00-T88)</desc><diag><name>S00</name><desc>Injury of head</desc></diag></chapter>
</ICD10CM.tabular>"""
CODE = '''
def documented(x):
    """Return the sum of all things.

    More words.
    """
    y = x + 1
    return y


class Thing:
    def method(self):
        return 1

    def brief(self):
        """Do it."""
        y = 1
        return y

    def stub(self):
        """Say nothing of any use here."""
        ...
'''


def records(path, adapter, **options):
    return list(read_records([RawFile(path, name=path.name)], name="toy", adapter=adapter, options=options))


def kinds(found, kind):
    return [record for record in found if isinstance(record, kind)]


def reasons(found):
    return [record.reason for record in kinds(found, Skipped)]


@pytest.fixture
def written(tmp_path):
    def write(name, content):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path / name

    return write


def test_icd_synonyms(wheel):
    found = records(wheel({"icd.xml": ICD}), "icd_synonyms", member="icd.xml", exclude_chapters=["19"])
    where = "toy-1.0-py3-none-any.whl!icd.xml"
    assert kinds(found, Passage) == [
        Passage("A00", "Cholera", where, 0, "desc"),
        Passage("A00.0", "Cholera due to Vibrio", where, 1, "desc"),
    ]
    assert kinds(found, Query) == [Query("Asiatic cholera", ("A00",), (), "A00", where, 0, "inclusionTerm")]
    assert reasons(found) == ["inclusion term equals the description", "chapter is left out by the stanza"]


def test_icd_chapters(wheel):
    found = records(wheel({"icd.xml": ICD}), "icd_chapters", member="icd.xml")
    assert [(row.text, row.label, row.group, row.row) for row in found] == [
        ("Cholera", "Infections", "A00", 0),
        ("Cholera due to Vibrio", "Infections", "A00", 1),
        ("Injury of head", "Injury", "S00", 2),
    ]


def test_sources_of_one_file_agree_on_the_split(wheel):
    path = wheel({"icd.xml": ICD, "hp.obo": OBO, "toy/a.py": CODE})
    views = [
        [("icd_synonyms", {"member": "icd.xml"}), ("icd_chapters", {"member": "icd.xml"})],
        [("obo_definitions", {"member": "hp.obo"}), ("obo_branches", {"member": "hp.obo", "root": "T:1"})],
        [("python_functions", {"packages": ["toy"]}), ("python_modules", {"packages": ["toy"]})],
    ]
    for one, two in views:
        queries, texts = (
            kinds(records(path, adapter, **options), (Query, Labelled)) for adapter, options in (one, two)
        )
        splits = {(row.file, row.row): split_of(row.group) for row in queries}
        shared = [row for row in texts if (row.file, row.row) in splits]
        assert shared
        assert all(splits[row.file, row.row] == split_of(row.group) for row in shared)


def test_obo_definitions(wheel):
    found = records(wheel({"hp.obo": OBO}), "obo_definitions", member="hp.obo")
    assert [row.text for row in kinds(found, Passage)] == [
        "Phenotypic abnormality", "Abnormality of the eye", "Short stature",
    ]  # fmt: skip
    assert [(row.text, row.positives, row.row) for row in kinds(found, Query)] == [
        ("Of the eye.", ("T:2",), 1),
        ('A "small" height.', ("T:3",), 2),
    ]
    assert reasons(found) == ["term has no definition", "term is obsolete"]


@pytest.mark.parametrize(
    ("parents", "label", "reason"),
    [
        (["T:2"], "Abnormality of the eye", None),
        (["T:2", "T:5"], None, "term is below several branches"),
        (["T:9"], None, "term is below no branch"),
        (["T:1"], None, "term is itself a branch"),
    ],
)
def test_obo_branches(wheel, parents, label, reason):
    more = "".join(f"is_a: {parent}\n" for parent in parents)
    obo = OBO.replace(
        "[Typedef]",
        f'[Term]\nid: T:5\nname: Ear\nis_a: T:1\n\n[Term]\nid: T:6\nname: New\ndef: "New."\n{more}\n[Typedef]',
    )
    found = records(wheel({"hp.obo": obo}), "obo_branches", member="hp.obo", root="T:1")
    [record] = [row for row in found if row.row == 5]
    assert getattr(record, "label", None) == label
    assert getattr(record, "reason", None) == reason


def test_python_functions(wheel):
    members = {"toy/a.py": CODE, "toy/tests/b.py": CODE, "toy/c.py": "def broken(", "other/d.py": CODE}
    found = records(wheel(members), "python_functions", packages=["toy"])
    [passage], [query] = kinds(found, Passage), kinds(found, Query)
    assert passage.text == "def documented(x):\n    y = x + 1\n    return y"
    assert (query.text, query.group, query.row) == ("Return the sum of all things.", "toy/a.py", 1)
    assert sorted(reasons(found)) == [
        "code has under 3 lines without its docstring",
        "file is not Python that this version can parse",
        "function has no docstring or is a special method",
        "summary has under 4 words or over 300 characters",
    ]


def test_python_code_is_never_run(wheel):
    code = 'raise SystemExit("run")\n' + CODE
    assert kinds(records(wheel({"toy/a.py": code}), "python_functions", packages=["toy"]), Query)


def test_python_modules(wheel):
    members = {"toy/core/deep/a.py": CODE, "toy/b.py": CODE, "toy/__init__.py": CODE}
    found = records(wheel(members), "python_modules", packages=["toy"])
    assert [row.label for row in kinds(found, Labelled)] == ["toy.b", "toy.core"]
    assert "function lies in the package itself, in no module" in reasons(found)


def test_emoji_names(wheel):
    thumb, toned = "\U0001f44d", "\U0001f44d\U0001f3fb"
    english = {
        thumb: {"en": ":thumbs_up:", "status": 2},
        toned: {"en": ":thumbs_up_light:", "status": 2},
        "x": {"en": ":x:", "status": 4},
    }
    members = {
        "e/emoji.json": json.dumps(english),
        "e/emoji_de.json": json.dumps({thumb: ":daumen_hoch:", toned: ":daumen_hell:"}),
        "e/emoji_fr.json": json.dumps({thumb: ":Thumbs_up:"}),
    }
    found = records(wheel(members), "emoji_names", folder="e", languages=["de", "fr"])
    assert [row.text for row in kinds(found, Passage)] == ["thumbs up"]
    assert [(row.text, row.positives, row.group) for row in kinds(found, Query)] == [
        ("daumen hoch", ("thumbs up",), "thumbs up")
    ]
    assert reasons(found) == ["emoji is a variant of another"] * 3 + ["name equals the English one"]


def test_registry_descriptions(wheel):
    entries = {
        "a": {"name": "GenBank", "description": "one two  three four"},
        "b": {"name": "X"},
        "c": {"name": "Y", "description": "one"},
    }
    members = {f"f/{name}/processed.json": json.dumps(entries) for name in ("r", "s")}
    found = records(
        wheel(members), "registry_descriptions", folder="f", registries=["r", "s"], min_words=2, max_words=3
    )
    assert [row.text for row in kinds(found, Passage)] == ["one two three"] * 2
    assert [(row.positives, row.group) for row in kinds(found, Query)] == [(("r:0",), "genbank"), (("s:0",), "genbank")]
    assert reasons(found) == ["entry has no name or no description", "description has under 2 words"] * 2


def test_function_calls(wheel):
    functions = [{"name": "f", "description": "Does f."}, {"name": "g", "description": "Does g."}]
    ask = [[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Do  f"}]]
    questions = [
        {"id": "1", "question": ask, "function": functions},
        {"id": "2", "question": ask, "function": functions[:1]},
    ]
    answers = [{"id": "1", "ground_truth": [{"f": {}}]}, {"id": "2", "ground_truth": [{"f": {}}, {"f": {}}]}]
    members = {
        "d/part.json": "\n".join(map(json.dumps, questions)),
        "d/possible_answer/part.json": "\n".join(map(json.dumps, answers)),
    }
    found = records(wheel(members), "function_calls", folder="d", parts=["part"])
    assert [row.text for row in kinds(found, Passage)] == ["f: Does f.", "g: Does g."]
    assert [(row.text, row.positives) for row in kinds(found, Query)] == [("Do f", ("f",))]
    assert reasons(found) == [
        "a function of that name came before",
        "request is not answered by one call of one of its functions",
    ]


def test_lee_documents(wheel):
    path = wheel({"docs": "one\ntwo\nthree\n", "sims": "1 .2 .3\n.2 1 .4\n.3 .4 1\n", "few": "1 .2\n.2 1\n"})
    found = records(path, "lee_documents", documents="docs", similarities="sims")
    assert [(row.text, row.other, row.grade, row.row, row.other_row) for row in found] == [
        ("one", "two", 0.2, 0, 1), ("one", "three", 0.3, 0, 2), ("two", "three", 0.4, 1, 2),
    ]  # fmt: skip
    with pytest.raises(InputError, match="not 3 x 3 numbers"):
        records(path, "lee_documents", documents="docs", similarities="few")


def test_pairs_from_a_csv_file_in_a_zip_file_in_a_wheel(wheel):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("news.csv", 'title,text\nA  Title,"one two\nthree"\nB,one\n')
    options = {"query": "title", "positive": "text", "group": "title", "min_words": 2, "max_words": 2}
    found = records(wheel({"n.zip": inner.getvalue()}), "pairs", member="n.zip!news.csv", **options)
    assert [row.text for row in kinds(found, Passage)] == ["one two"]
    assert [(row.text, row.group) for row in kinds(found, Query)] == [("A  Title", "a title")]
    assert kinds(found, Query)[0].positives == (kinds(found, Passage)[0].key,)
    assert reasons(found) == ["'text' has under 2 words"]


def test_limits_count_letters_of_scripts_without_spaces_as_parts_of_words(written):
    path = written("a.csv", "query,positive\nq,\u6211\u4eec\u4eca\u5929\u53bb\u516c\u56ed\nr,\u6211\u4eec\n")
    found = records(path, "pairs", min_words=4)
    assert [row.text for row in kinds(found, Query)] == ["q"]
    assert reasons(found) == ["'positive' has under 4 words"]
    found = records(path, "pairs", max_words=2)
    assert [row.text for row in kinds(found, Passage)] == ["\u6211\u4eec\u4eca", "\u6211\u4eec"]


def test_a_group_is_what_is_displayed_of_it(written):
    found = records(written("a.csv", "query,positive\nq,num\u00adber\nr,number\n"), "pairs")
    assert {row.group for row in kinds(found, Query)} == {"number"}
    assert [row.text for row in kinds(found, Passage)] == ["num\u00adber", "number"]


def test_pairs_read_negatives_from_the_columns_that_are_named(written):
    path = written("a.csv", "query,positive,bad,worse\nq,p,n1,n2\n")
    found = records(path, "pairs", negatives=["worse", "bad"])
    texts = {row.key: row.text for row in kinds(found, Passage)}
    [query] = kinds(found, Query)
    assert [texts[key] for key in query.negatives] == ["n2", "n1"]
    with pytest.raises(InputError, match="there is no column 'worst'"):
        records(path, "pairs", negatives=["worst"])


def test_a_pattern_stands_for_all_columns_like_it_and_for_none_where_there_is_none(written):
    wide = records(
        written("a.csv", "query,positive,negative_1,negative_2,other\nq,p,n1,n2,o\n"), "pairs", negatives=["negative_*"]
    )
    texts = {row.key: row.text for row in kinds(wide, Passage)}
    assert [texts[key] for key in kinds(wide, Query)[0].negatives] == ["n1", "n2"]
    plain = records(written("b.csv", "query,positive\nq,p\n"), "pairs", negatives=["negative_*"])
    assert kinds(plain, Query)[0].negatives == ()


def test_rows_of_parquet_are_read(tmp_path):
    pq.write_table(pa.table({"query": ["q1", "q2"], "positive": [["p1", "p2"], ["p3"]]}), tmp_path / "a.parquet")
    found = records(tmp_path / "a.parquet", "pairs")
    assert [len(row.positives) for row in kinds(found, Query)] == [2, 1]


@pytest.mark.parametrize(("name", "message"), [("a.doc", r"a\.doc: rows of \.doc"), ("a", "files without a suffix")])
def test_files_of_an_unknown_format_are_refused(written, name, message):
    with pytest.raises(InputError, match=message):
        records(written(name, "x"), "pairs")


def test_a_line_that_is_no_json_is_named(written):
    with pytest.raises(InputError, match=r"a\.jsonl: line 3: "):
        records(written("a.jsonl", '{"query": "q", "positive": "p"}\n\nbroken\n'), "pairs")


def test_labelled_maps_labels_and_leaves_out_others(written):
    path = written("a.tsv", "kind\tcontent\n1\tgood film\n0\tbad film\n7\todd film\n1\t\n")
    found = records(path, "labelled", text="content", label="kind", labels={"1": "positive", "0": "negative"})
    assert [(row.text, row.label, row.group) for row in kinds(found, Labelled)] == [
        ("good film", "positive", "good film"),
        ("bad film", "negative", "bad film"),
    ]
    assert reasons(found) == ["label is not one of those listed in the stanza", "'content' is empty"]


def test_rows_below_the_header_that_are_no_data_are_passed_over(written):
    path = written("a.tab", "Category\tText\nd\tstring\nclass\t\n\nsport\tone two three\n")
    found = records(path, "labelled", text="Text", label="Category", skip_rows=2, max_words=2)
    assert [(row.label, row.text, row.row) for row in found] == [("sport", "one two", 0)]


def test_graded_pairs_of_a_file_without_header(written):
    path = written("a.tsv", "# a comment\nlove\tsex\t6.77\ntiger\tcat\n")
    options = {"columns": ["one", "two", "mean"], "text": "one", "other": "two", "grade": "mean", "comment": "#"}
    found = records(path, "graded_pairs", **options)
    assert [(row.text, row.other, row.grade) for row in kinds(found, Pair)] == [("love", "sex", 6.77)]
    assert reasons(found) == ["row has fewer fields than there are columns"]


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "declares a DOCTYPE"),
        ("<a><b></a>", "not well-formed XML"),
        ("<a><b/>", "not well-formed XML"),
    ],
)
def test_xml_with_a_document_type_or_faults_is_refused(wheel, xml, message):
    with pytest.raises(InputError, match=rf"icd\.xml: .*{message}"):
        records(wheel({"icd.xml": xml}), "icd_chapters", member="icd.xml")
