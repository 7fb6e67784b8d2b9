import csv
import html.parser
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.estimate.compare import SCHEMA
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.schemas.train import VALIDATION
from f2llm.records.tables import read_table, write_table
from f2llm.report import page as page_module
from f2llm.report.report import SECTIONS, build_report
from f2llm.report.sections.funnel import RELEASED
from f2llm.report.sections.mining import read_mining
from f2llm.runs.funnel import read_funnel
from f2llm.runs.gaps import Gaps
from f2llm.runs.layout import read_layout


def build(results, **changes):
    jobs = [str(results / name) for name in ("job.json", "read.json")]
    return build_report(
        results, **({"run": "toyrun", "heldout": [], "jobs": jobs, "output": results / "report/index.html"} | changes)
    )


def page(results, **changes):
    build(results, **changes)
    return (results / "report/index.html").read_text()


@pytest.fixture(scope="module")
def built(results_writer, tmp_path_factory):
    """A results folder with its report, made once; tests must leave it as it is."""
    folder = results_writer(tmp_path_factory.mktemp("built"))
    build(folder)
    return folder


def text_of(built):
    return (built / "report/index.html").read_text()


def rows(results, name):
    return read_table(results / "report/tables" / f"{name}.parquet").to_pylist()


def section(text, name):
    return re.search(rf'<section id="{name}">.*?\n<p class="file">.*?</section>', text, re.DOTALL)[0]


class Tables(html.parser.HTMLParser):
    """The cells of all tables of a page, by the name of the table."""

    def __init__(self, text):
        super().__init__()
        self.found, self.name, self.cell = {}, None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.name = dict(attrs)["data-table"]
            self.found.setdefault(self.name, [])
        elif tag == "tr":
            self.found[self.name].append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_endtag(self, tag):
        if tag == "td":
            self.found[self.name][-1].append(self.cell)
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data


def funnel(results):
    jobs = [read_json(results / "read.json")]
    return read_funnel(read_layout(results, run="toyrun"), jobs=jobs, gaps=Gaps(results))


def test_the_funnel_counts_the_tables(results):
    (row,) = funnel(results)
    assert (row.raw, row.normalised, row.held_out, row.training) == (5, 3, 1, 2)
    assert (row.exact, row.near, row.clean, row.curated) == (2, 2, 2, 2)
    assert (row.mined, row.tuples, row.trained, row.planned) == (1, 1, 1, 2)
    assert row.removed == {("passage", "near", "a copy"): 1}
    assert row.rejected == {"filtered_out": 2}


def test_each_stage_of_the_funnel_has_what_the_stages_before_left(results):
    path = results / "curated/c-1/toy/removed.parquet"
    table = read_table(path)
    row = table.to_pylist()[0] | {"role": "query"}
    stages = ("split", "exact", "across", "near", "decontaminate", "positive")
    write_table(path, schema=table.schema, rows=[table.from_pylist([row | {"stage": s} for s in stages], table.schema)])
    (found,) = funnel(results)
    assert (found.training, found.exact, found.near, found.clean) == (1, -1, -2, -3)
    assert found.held_out == 2


def test_every_section_has_its_numbers_and_says_where_they_lie(built):
    text = text_of(built)
    for name in [*SECTIONS, "overview"]:
        if name != "estimate":
            named = re.findall(r"tables/(\w+)\.parquet", section(text, name))
            assert named, name
            assert any(len(rows(built, table)) for table in named), name


def test_what_the_tables_of_the_page_show_is_what_lies_on_disk(built):
    found = Tables(text_of(built)).found
    assert {"funnel", "mining", "training", "scores", "differences", "licences", "costs", "neighbours"} <= set(found)
    for name, shown in found.items():
        on_disk = {str(value) for row in rows(built, name) for value in row.values()}
        for cell in (cell for row in shown for cell in row):
            number = cell.replace(",", "").removesuffix("%").lstrip("+")
            if re.fullmatch(r"-?\d+(\.\d+)?", number):
                scale = 100 if cell.endswith("%") else 1
                numbers = [float(value) for value in on_disk if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", value)]
                digits = len(number.partition(".")[2])
                assert any(f"{scale * value:.{digits}f}" == number for value in numbers) or cell in on_disk, (
                    name,
                    cell,
                )


def test_the_first_screen_has_result_cost_and_warnings_of_the_tables(built):
    text = section(text_of(built), "overview")
    overview = {row["name"]: row["value"] for row in rows(built, "overview")}
    assert overview["run task"] == 50.0 and overview["gain over base_mean"] == 20.0 and overview["seconds"] == 62.5
    assert "20.0 &rarr; 50.0" in text and "+30.0 / +20.0" in text and "at most 700 MB" in text
    assert overview["open warnings"] == len(rows(built, "warnings")) == text.count("<li>")


def test_texts_from_data_are_never_markup(built):
    text = text_of(built)
    assert text.count("<script") == 1
    assert "The &lt;script&gt;alert(1)&lt;/script&gt; answer" in text
    assert re.search(r"default-src 'none'.*script-src 'sha256-[A-Za-z0-9+/=]{44}'", text)


class Directions(html.parser.HTMLParser):
    """Every piece of text of a page with the direction that the elements around it give it."""

    def __init__(self, text):
        super().__init__()
        self.found, self.around = [], []
        self.feed(text)

    def handle_startendtag(self, tag, attrs):
        """An element of a figure without content."""

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "input"):
            self.around.append(dict(attrs).get("dir", self.around[-1] if self.around else None))

    def handle_endtag(self, tag):
        self.around.pop()

    def handle_data(self, data):
        self.found.append((data, self.around[-1] if self.around else None))


def test_texts_from_data_are_read_from_the_side_that_they_begin_at(results):
    hebrew, question, short = (
        "\u05e9\u05dc\u05d5\u05dd world",
        "\u0645\u0627 \u0647\u0630\u0627\u061f",
        "\u05e8\u05d0\u05e9",
    )
    names = {"a copy of the answer": hebrew, "what is asked?": question, "A third passage": short}
    for path in [*results.glob("sources/toy/*.parquet"), *results.glob("curated/*/toy/*.parquet")]:
        table = read_table(path)
        if "text" in table.column_names:
            texts = [names.get(text, text) for text in table["text"].to_pylist()]
            column = pa.array(texts, table["text"].type)
            pq.write_table(table.set_column(table.column_names.index("text"), table.schema.field("text"), column), path)
    found = Directions(page(results)).found
    shown = [(text, direction) for text, direction in found if re.search(r"[\u0590-\u06ff]", text)]
    assert any(question in text for text, _ in shown)
    assert {direction for text, direction in shown if "\u2068" not in text} == {"auto"}


def test_a_wide_cell_has_its_own_direction_and_the_other_cells_have_it_by_their_style(built):
    text = text_of(built)
    assert 'class="wide"' in text and text.count('class="wide"') == text.count('class="wide" dir="auto"')
    assert re.search(r"[;}] td {[^}]*unicode-bidi: plaintext;", text)


def test_tasks_that_did_not_improve_are_said(built):
    assert re.search(r"Not better than the better pooling of the base model: Worse\.", text_of(built))


def test_a_difference_says_whether_it_may_be_chance(built):
    found = {row["other"]: (row["low"], row["high"], row["verdict"]) for row in rows(built, "differences")}
    assert found == {"base-last": (31.5, 48.5, "more than chance"), "base-mean": (-1.5, 61.5, "may be chance")}


def test_a_source_that_lost_most_of_its_tuples_is_warned_about(built):
    assert "toy: mining dropped 2 of 3 tuples" in text_of(built)


def test_the_page_asks_no_network_and_names_no_path_of_this_machine(built):
    text = text_of(built)
    assert not re.search(r'(src|href)="(?!#)', text)
    assert str(built) not in text
    assert "@import" not in text and "url(" not in text.replace("url(#", "")


def test_the_same_tables_give_the_same_bytes(results):
    first = page(results)
    kept = {path.name: path.read_bytes() for path in (results / "report").rglob("*.*") if path.is_file()}
    assert page(results) == first
    assert {path.name: path.read_bytes() for path in (results / "report").rglob("*.*") if path.is_file()} == kept


def test_a_run_that_is_not_there_is_named_with_those_that_are(results):
    with pytest.raises(InputError, match="there is no run 'other'; runs here: toyrun"):
        read_layout(results, run="other")


def test_a_source_that_the_licence_policy_keeps_out_is_named(built):
    assert "news: left out by the licence policy of the run (licence CC-BY-NC-4.0, commercial use: no)." in page(built)


def test_skipped_sources_are_on_the_first_screen_with_reason_and_share(results):
    assert "Skipped sources" not in page(results)
    path = results / "runs" / "toyrun" / "run.json"
    run = read_json(path)
    [toy] = run["settings"]["sources"]
    others = [
        toy | {"name": name, "expected": {"queries": count, "passages": None}} for name, count in (("a", 30), ("b", 10))
    ]
    run["settings"]["sources"] += others
    write_json(path, run | {"left_out": {"a": "source a: HTTP 404: gone\nof hf_0123456789abc"}})
    first = page(results).split("</section>")[0]
    assert "Skipped sources: 1; 75.0 % of the queries that the stanzas state are missing." in first
    assert "1 of 3 sources was skipped: a; 75.0% of the queries that the stanzas state are missing." in first
    assert "a: skipped, and the run went on without it: source a: HTTP 404: gone of [withheld]" in first
    assert "examples from 2 sources" in first


def test_sources_that_an_older_run_left_out_are_named_with_what_their_manifest_says(results):
    for reason in ("no tuples to train on", "the server has gone"):
        path = results / "runs" / "toyrun" / "run.json"
        write_json(path, read_json(path) | {"left_out": ["toy"]})
        assert f"toy: skipped, and the run went on without it: {reason}" in page(results)
        path = results / "sources" / "toy" / "manifest.json"
        write_json(path, read_json(path) | {"skipped": "the server has gone"})


def test_a_remark_of_a_manifest_is_on_the_first_screen(results):
    path = results / "sources" / "toy" / "manifest.json"
    write_json(path, read_json(path) | {"remarks": ["datasets/a/b: partial-train: a part of the data"]})
    assert "toy: datasets/a/b: partial-train: a part of the data." in page(results).split("</section>")[0]


def test_a_comparison_with_a_skipped_source_says_so(results):
    counts = dict.fromkeys((column.name for column in RELEASED[1:]), 0)
    write_json(results / "mined/m-1/toy/released.json", counts | {"skipped": "the server has gone"})
    assert "toy: nothing to compare with published tuples: the server has gone" in page(results)


def test_counts_of_a_publication_stand_beside_ours_where_there_are_any(results):
    assert '<th class="n">published</th>' not in page(results)
    path = results / "runs" / "toyrun" / "run.json"
    run = read_json(path)
    run["settings"]["sources"][0]["expected"]["queries"] = 98_765
    write_json(path, run)
    text = page(results)
    assert '<th class="n">published</th>' in text and "98,765" in text


def test_a_comparison_with_published_tuples_is_shown(results):
    layout = read_layout(results, run="toyrun")
    figures = {
        "common": 41, "ours_only": 1, "theirs_only": 2, "same_positive": 40, "negatives_common": 7,
        "negatives_ours": 9, "negatives_theirs": 8,
    }  # fmt: skip
    assert "Beside published tuples" not in page(results)
    write_json(layout.mined("toy") / "released.json", figures)
    assert re.search(r'Beside published tuples.*<td class="n">41</td>', page(results), re.DOTALL)


def test_the_ranks_of_positives_are_counted_over_kept_and_rejected_pairs(results):
    ranks = read_mining(read_layout(results, run="toyrun"), *funnel(results), counts={}).ranks
    assert ranks == {"rank 1": 0, "rank 2-5": 1, "rank 6-10": 1, "beyond": 1}
    assert re.search(r"rank 2-5.*33.3%.*33.3%.*33.3%", page(results), re.DOTALL)


def test_an_approximate_search_is_said_with_its_recall(results):
    path = results / "job.json"
    job = read_json(path)
    assert "approximate" not in page(results)
    write_json(path, job | {"counts": {"index": "ivf", "recall": 0.873, "recall_queries": 200}})
    assert "ivf: 87.3% of the 10 nearest found, measured on 200 queries" in page(results)


def test_tuples_and_rejected_pairs_are_there_to_read(built):
    text = section(text_of(built), "tuples")
    assert "what is asked?" in text and "(rank 3)" in text and "A third passage" in text
    assert "too few passages within the score limits" in text and "what else is asked?" in text


def test_losses_of_a_source_are_those_of_its_batches_and_of_its_held_out_tuples(built):
    (row,) = rows(built, "training")
    assert (row["first"], row["last"], row["tokens"], row["tokens_per_second"]) == (2.0, 1.0, 20, 10.0)
    assert (row["held_out"], row["held_out_before"], row["held_out_after"]) == (7, 3.0, 1.5)
    assert [(row["step"], row["loss"], row["loss_in_batch"]) for row in rows(built, "curves")] == [
        (0, 2.0, None),
        (1, 1.0, None),
    ]


def test_tables_of_a_run_from_before_they_were_long_give_the_same_page(results):
    new = page(results)
    batches = {
        "step": [0, 1], "batch": [0, 0], "source": ["toy"] * 2, "loss": [2.0, 1.0], "loss_hard": [2.0, 1.0],
        "loss_in_batch": pa.nulls(2, pa.float64()), "tokens": [10, 10], "tokens_per_second": [10.0, 10.0],
    }  # fmt: skip
    held_out = {"step": [0, 2], "source": ["toy"] * 2, "loss": [3.0, 1.5], "tuples": [7, 7]}
    pq.write_table(pa.table(batches), results / "runs/toyrun/metrics.parquet")
    pq.write_table(pa.table(held_out), results / "runs/toyrun/validation.parquet")
    assert page(results) == new


def test_a_run_that_holds_nothing_out_has_its_training_all_the_same(results):
    write_table(results / "runs/toyrun/validation.parquet", schema=VALIDATION, rows=[])
    assert "Missing" not in section(page(results), "training")
    assert rows(results, "training")[0]["held_out"] is None


def test_jobs_of_different_versions_are_warned_about(results):
    assert "different versions" not in page(results)
    job = read_json(results / "read.json")
    write_json(results / "read.json", job | {"versions": {"torch": "2.12.0"}})
    assert "The jobs ran with different versions of torch: 2.12.0, 2.13.0." in page(results)


def test_an_estimate_that_was_made_stands_beside_what_came(results):
    assert 'id="estimate"' not in page(results)
    row = {"stage": "all", "figure": "cpu", "expected": 1500.0, "truth": 1000.0, "stated_error": 0.6, "within": True}
    write_table(results / "runs/toyrun/estimate.parquet", schema=SCHEMA, rows=[pa.Table.from_pylist([row], SCHEMA)])
    assert re.search(r'id="estimate".*processor time.*1,500.*1,000.*50\.0%.*60\.0%', page(results), re.DOTALL)


def test_the_scores_are_there_as_csv_too(built):
    with open(built / "report/scores.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["task"], row["toyrun"], row["gain_over_last"]) for row in found] == [
        ("Good", "60", "40"),
        ("Worse", "40", "20"),
    ]


def test_figures_lie_beside_the_page(built):
    names = {path.stem for path in (built / "report/figures").glob("*.svg")}
    assert names == {"funnel", "mining", "loss", "throughput", "differences", "map"}


def test_a_section_is_one_file_with_one_function_and_one_template_of_its_name():
    folder = Path(page_module.__file__).parent
    files = {path.stem for path in (folder / "sections").glob("*.py")} - {"__init__"}
    templates = {path.name.removesuffix(".html.j2") for path in (folder / "templates").glob("section_*")}
    assert files == set(SECTIONS) and templates == {f"section_{name}" for name in SECTIONS}
    for name, build_section in SECTIONS.items():
        where = (build_section.__module__, build_section.__name__)
        assert where == (f"f2llm.report.sections.{name}", f"{name}_section")


def test_a_choice_of_shards_is_said_where_the_files_of_a_source_are_listed(results_writer, tmp_path):
    results = results_writer(tmp_path)
    content = read_json(results / "runs/toyrun/run.json")
    place = {"kind": "hub", "repository": "toy/rows", "shards": 4}
    content["settings"]["sources"][0]["fetch"] = [place]
    write_json(results / "runs/toyrun/run.json", content)
    build(results)
    files = {row["name"]: row["files"] for row in rows(results, "licences")}
    assert files["toy"] == "toy.jsonl (aaaaaaaaaaaa); 4 files chosen by a hash of their names (`shards`)"
    assert "shards" not in files["base"]
