"""The report as a person opens it. Screenshots are made only by hand: F2LLM_SCREENSHOTS=folder."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

SECTIONS = (
    "overview",
    "funnel",
    "removed",
    "mining",
    "tuples",
    "training",
    "scores",
    "map",
    "licences",
    "cost",
    "environment",
)
FIGURES = {"funnel": 1, "training": 2, "scores": 1, "map": 1}
TOO_WIDE = """[...document.querySelectorAll("body *")].filter(one => !one.closest(".box, figure, [hidden]")
    && one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
    .map(one => one.tagName + " " + one.textContent.slice(0, 40))"""
CONTRAST = """(() => {
    const light = colour => { const [r, g, b] = colour.match(/\\d+/g).map(Number).map(v => { v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const own = element => getComputedStyle(element);
    const paper = light(own(document.body).backgroundColor);
    return [...document.querySelectorAll("h1, h2, p, td, summary, a")].map(one => { const ink = light(own(one).color);
        const behind = one.closest(".warn, .gap") ? light(own(one.closest(".warn, .gap")).backgroundColor) : paper;
        return (Math.max(ink, behind) + 0.05) / (Math.min(ink, behind) + 0.05); }).reduce((a, b) => Math.min(a, b));
})()"""
TUPLES = 'document.querySelectorAll("details.tuple:not([hidden])").length'


def keyed(browser, name, value):
    """Set a field as a person would and return the number of tuples that are left."""
    field = f'document.getElementById("{name}")'
    browser.run(f'{field}.value = {value!r}; {field}.dispatchEvent(new Event("input"))')
    return browser.run(TUPLES)


def tuples(report):
    return pq.read_table(report.parent / "tables/tuples.parquet").to_pylist()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_opens_without_an_error_a_request_or_a_sideways_scroll(browser, report, width, dark):
    browser.open(report, width=width, dark=dark)
    assert browser.complaints() == []
    assert browser.requests() == [report.as_uri()]
    browser.run('document.querySelectorAll("details").forEach(one => { one.open = true; })')
    assert browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert browser.run(TOO_WIDE) == []
    assert browser.run(CONTRAST) >= 4.5  # WCAG 2.2, level AA
    if folder := os.environ.get("F2LLM_SCREENSHOTS"):
        browser.open(report, width=width, dark=dark)
        browser.picture(Path(folder) / f"report-{width}-{'dark' if dark else 'light'}.png")


def test_each_section_shows_the_numbers_of_its_tables(browser, report):
    browser.open(report)
    for name in SECTIONS:
        cells = browser.run(
            f'[...document.querySelectorAll("#{name} td")].filter(one => /\\d/.test(one.textContent)).length'
        )
        tiles = browser.run(
            f'[...document.querySelectorAll("#{name} .tile b")].filter(one => /\\d/.test(one.textContent)).length'
        )
        texts = browser.run(f'document.querySelectorAll("#{name} details.tuple").length')
        assert cells + tiles + texts > 0, name
    for name, count in FIGURES.items():
        drawn = f'[...document.querySelectorAll("#{name} figure svg")].filter(one => one.getBoundingClientRect().width > 100).length'
        assert browser.run(drawn) == count, name
    rows = browser.run('document.querySelectorAll("#funnel table[data-table=funnel] tbody tr").length')
    assert rows == pq.read_metadata(report.parent / "tables/funnel.parquet").num_rows


def test_the_links_of_the_page_lead_to_its_sections(browser, report):
    browser.open(report)
    dead = '[...document.querySelectorAll("a")].filter(one => !document.querySelector(one.getAttribute("href"))).length'
    assert browser.run('document.querySelectorAll("nav a").length') >= len(SECTIONS) - 1
    assert browser.run(dead) == 0


def test_search_finds_the_tuples_that_hold_all_words_and_no_other(browser, report):
    rows = tuples(report)
    every = {row["tuple_id"] for row in rows}
    browser.open(report)
    assert browser.run(TUPLES) == len(every)
    word = max(rows[0]["text"].split(), key=len).lower()
    holds = {key for key in every if word in " ".join(row["text"] for row in rows if row["tuple_id"] == key).lower()}
    assert keyed(browser, "tuple-query", word.upper()) == len(holds) > 0
    assert keyed(browser, "tuple-query", rows[0]["tuple_id"]) == 1
    assert keyed(browser, "tuple-query", f"{word} nosuchword") == 0
    said = browser.run('document.getElementById("tuple-count").textContent')
    assert said == f"0 of {len(every)} tuples"
    assert keyed(browser, "tuple-query", "") == len(every)


def test_filters_leave_the_tuples_of_a_source_and_of_a_kind(browser, report):
    rows = tuples(report)
    browser.open(report)
    source = rows[-1]["source"]
    own = {row["tuple_id"] for row in rows if row["source"] == source}
    assert keyed(browser, "tuple-source", source) == len(own)
    assert keyed(browser, "tuple-source", "") == len({row["tuple_id"] for row in rows})
    for kind in ("mined", "given", "drawn"):
        assert keyed(browser, "tuple-kind", kind) == len({row["tuple_id"] for row in rows if row["kind"] == kind}), kind
    keyed(browser, "tuple-kind", "")
    browser.run('document.getElementById("tuple-open").click()')
    assert browser.run('document.querySelectorAll("details.tuple[open]").length') == browser.run(TUPLES)


def test_a_source_can_be_picked_on_the_map_and_points_say_their_text(browser, report):
    browser.open(report)
    points = pq.read_metadata(report.parent / "tables/map.parquet").num_rows
    assert browser.run('document.querySelectorAll("#map use > title").length') == points
    browser.run(
        'const pick = document.getElementById("map-source"); pick.value = "0"; pick.dispatchEvent(new Event("input"))'
    )
    assert browser.run('document.getElementById("map-0").style.opacity') == ""
    others = browser.run(
        '[...document.querySelectorAll("g[id^=map-]")].slice(1).every(one => one.style.opacity === "0.08")'
    )
    assert others


@pytest.mark.parametrize("width", [400, 1400])
def test_texts_from_right_to_left_begin_on_the_right_and_break_no_layout(browser, report, tmp_path, width):
    page = tmp_path / "page.html"
    hebrew = "\u05e9\u05dc\u05d5\u05dd " * 60
    page.write_text(report.read_text().replace("The third passage", hebrew).replace("A third passage", hebrew))
    browser.open(page, width=width)
    browser.run('document.querySelectorAll("details").forEach(one => { one.open = true; })')
    right = """[...document.querySelectorAll("[dir=auto]")].filter(one => /^\\s*[\\u0590-\\u06ff]/.test(one.textContent))
        .map(one => getComputedStyle(one).direction)"""
    assert set(browser.run(right)) == {"rtl"}
    assert browser.run(TOO_WIDE) == []
    assert browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_a_script_in_a_text_never_runs(browser, report, tmp_path):
    html = report.read_text()
    page = tmp_path / "page.html"
    page.write_text(html.replace("</main>", "</main><script>window.ran = 1</script>"))
    browser.open(page)
    assert browser.run("window.ran === undefined")
    assert any("Content Security Policy" in text for text in browser.complaints())
    assert browser.run('document.getElementById("tuple-count").textContent').endswith("tuples")


def test_it_prints_without_tools_and_within_the_paper(browser, report):
    browser.open(report, width=700, media="print")
    assert browser.run('getComputedStyle(document.getElementById("tuple-tools")).display') == "none"
    assert len(browser.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"]) > 10_000


@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_that_compares_runs_opens_likewise(browser, report, tmp_path, width):
    from f2llm.records.scores import Compared
    from f2llm.report.comparison import build_comparison

    results = report.parents[1]
    if not (results / "runs/toyrun").is_dir():
        pytest.skip("the given report is not that of the small run")
    scores = [
        Compared("Good", "toyrun", 60.0, None, None, None, None),
        Compared("Good", "finder", 61.0, 1.0, -2.5, 4.5, False),
    ]
    page = Path(
        build_comparison(["toyrun", "finder"], results=results, scores=scores, output=tmp_path / "compare.html")
    )
    browser.open(page, width=width)
    assert browser.complaints() == [] and browser.requests() == [page.as_uri()]
    assert browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert browser.run('document.querySelectorAll("td.n").length') > 10
