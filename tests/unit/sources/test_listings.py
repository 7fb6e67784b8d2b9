"""The stanzas of the paper against what public pages show of their repositories; nothing is fetched."""

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hub_listings import key_of, read_listings

from f2llm.config.fetch import Fetch
from f2llm.config.sources import Source
from f2llm.config.stanzas import read_stanza
from f2llm.fetch import hub
from f2llm.rows.fields import names_of
from f2llm.rows.layout import holds_rows

ROOT = Path(__file__).parents[3]
LISTINGS = read_listings()
# Adapter -> options that name columns, with the defaults of those that are not given.
COLUMNS = {
    "pairs": {"query": "query", "positive": "positive", "passages": (), "group": ""},
    "labelled": {"text": "text", "label": "label", "group": ""},
    "nli": {"premise": "premise", "hypothesis": "hypothesis", "label": "label"},
    "duplicates": {"text": "text", "other": "other", "label": "", "grade": ""},
    "best_answer": {"query": "title", "answers": "answers.text", "scores": "answers.score"},
    "nested_passages": {"query": "query", "positives": "positive_passages", "passages": ""},
}
BEIR = {"corpus": ("_id", "title", "text"), "queries": ("_id", "text"), "qrels": ("query-id", "corpus-id", "score")}
MOST = 1.2  # times the paper's counts


def stanzas(folder):
    found = [read_stanza(Source, path)[0] for path in sorted(folder.glob("*.yaml"))]
    return {source.name: source for source in found if source.expected.queries is not None}


NOW = stanzas(ROOT / "config/sources")
BEFORE = stanzas(Path(__file__).with_name("stanzas_before"))
each_stanza = pytest.mark.parametrize("source", NOW.values(), ids=NOW.keys())


def chosen(fetch: Fetch) -> list[str]:
    """The names of the files that would be fetched."""
    listing = LISTINGS[key_of(fetch)]
    if fetch.kind != "hub":
        return list(listing.files)
    entries = [hub.Entry(name, size, "", "") for name, size in sorted(listing.files.items())]
    return [entry.path for entry in hub._matching(entries, fetch, owner="source")]


def sizes(sources: Iterable[Source]) -> dict[tuple[str, str], int]:
    """(place, name) -> bytes of all files that would be fetched, each once; of places that are listed and patterns that match."""
    places = [fetch for source in sources for fetch in source.fetch if key_of(fetch) in LISTINGS]
    return {
        (key_of(fetch), name): LISTINGS[key_of(fetch)].files[name]
        for fetch in places
        if all(LISTINGS[key_of(fetch)].matching(pattern) for pattern in fetch.files)
        for name in chosen(fetch)
    }


def is_estimate(key: str, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in LISTINGS[key].estimated)


def whole(source: Source) -> Source:
    return replace(source, fetch=tuple(replace(fetch, shards=None) for fetch in source.fetch))


def size_cell(source: Source) -> str:
    """How the documentation writes the bytes of a source: estimates with a ~, and what a choice of shards is taken from."""
    files, of = sizes([source]), sum(sizes([whole(source)]).values())
    size, mark = sum(files.values()), "~" if any(is_estimate(*file) for file in files) else ""
    shown = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"
    return f"{mark}{shown}" + (f" of {of / 1e9:.1f} GB" if of > size else "")


def rows_of(source: Source) -> int | None:
    """Rows of the files that would be fetched, where all are known."""
    counts = [LISTINGS[key_of(fetch)].rows_of(chosen(fetch)) for fetch in source.fetch]
    return None if None in counts else sum(counts)


def wanted_columns(source: Source) -> set[str]:
    options = COLUMNS[source.adapter] | dict(source.options)
    named = [options[option] for option in COLUMNS[source.adapter]]
    named += [source.options.get("distinct", ""), *source.options.get("only", {})]
    added = {"", source.options.get("file_column", "")}
    return {name.split(".")[0] for columns in named for name in names_of(columns)} - added


def faults_of(source: Source) -> list[str]:
    """What the listings show to be wrong with a stanza: the place, its patterns, its columns."""
    faults = []
    for fetch in source.fetch:
        listing = LISTINGS.get(key_of(fetch))
        if listing is None:
            faults.append("place was never seen")
            continue
        if fetch.kind != "hub" or not listing.columns:
            continue
        if unmatched := [f"no file like {pattern}" for pattern in fetch.files if not listing.matching(pattern)]:
            faults += unmatched
            continue
        names = [name for name in listing.matching(*fetch.files) if holds_rows(name)]
        sets = {tuple(sorted(listing.columns_of(name) or ())) for name in names}
        if source.adapter == "beir":
            folders = {stem: listing.columns_of(name) for name in names for stem in BEIR if stem in name}
            faults += [f"{stem} lacks columns" for stem, columns in BEIR.items() if set(columns) - set(folders[stem])]
        elif len(sets) > 1:
            faults.append("files of several sets of columns")
        elif missing := sorted(wanted_columns(source).difference(*sets)):
            faults.append(f"no column {', '.join(missing)}")
        lists = listing.lists and any(name in listing.matching(*listing.lists) for name in names)
        if lists and tuple(source.options.get("columns", ())) != tuple(listing.columns_of(names[0]) or ()):
            faults.append("rows are lists without names")
    return faults


@each_stanza
def test_the_patterns_of_a_stanza_match_files_of_one_set_of_columns_with_all_that_its_options_name(source):
    assert faults_of(source) == []
    assert all(chosen(fetch) for fetch in source.fetch)


def test_of_the_stanzas_of_before_those_that_would_have_stopped_are_found():
    assert {name: faults for name, source in BEFORE.items() if (faults := faults_of(source))} == {
        "coliee": ["files of several sets of columns"],
        "massive_intent": ["no file like en/train*", "no file like en/validation*"],
        "massive_scenario": ["no file like en/train*", "no file like en/validation*"],
        "miracl": ["place was never seen"],
        "mtop_domain": ["no column label_text"],
        "mtop_intent": ["no column label_text"],
        "stackexchange": ["rows are lists without names"],
        "sts22": ["no file like en/train*"],
    }


@pytest.mark.parametrize(
    ("name", "before", "now"),
    [
        ("coliee", 3, ["triplet-all/train-00000-of-00001.parquet"]),
        ("massive_intent", 0, ["train/en.json.gz", "validation/en.json.gz"]),
        ("mtop_domain", 2, ["en/train-00000-of-00001.parquet", "en/validation-00000-of-00001.parquet"]),
        ("sts22", 0, ["en/train.jsonl"]),
        ("bioasq", 1, ["train.jsonl.gz"]),
        ("eli5", 1, ["eli5_train.json"]),
        ("reddit_clustering_p2p", 12, ["default/partial-train/0002.parquet", "default/partial-train/0009.parquet"]),
    ],
)  # fmt: skip
def test_what_the_patterns_of_a_stanza_match_before_and_now(name, before, now):
    [was], [is_] = BEFORE[name].fetch, NOW[name].fetch
    assert len(LISTINGS[key_of(was)].matching(*was.files)) == before
    assert chosen(is_) == now


@pytest.mark.parametrize(
    ("name", "files", "of"),
    [
        ("paq", 20, 88),
        ("reddit_clustering_p2p", 2, 10),
        ("s2orc_abstract_citation", 12, 185),
        ("s2orc_title_abstract", 5, 62),
        ("s2orc_title_citation", 2, 20),
    ],
)
def test_the_chosen_shards_hold_more_rows_than_the_paper_has_queries_and_passages(name, files, of):
    [fetch] = NOW[name].fetch
    assert (len(chosen(fetch)), len(LISTINGS[key_of(fetch)].matching(*fetch.files))) == (files, of)
    assert rows_of(NOW[name]) > MOST * max(NOW[name].max_queries, NOW[name].max_passages)


def test_a_choice_of_shards_leaves_out_folders_of_other_columns():
    for name in ("s2orc_abstract_citation", "s2orc_title_citation"):
        assert not any("-all/" in path for fetch in NOW[name].fetch for path in chosen(fetch))


@each_stanza
def test_caps_lie_within_a_fifth_of_the_counts_of_the_paper_or_the_notes_say_why_not(source):
    caps = [(source.max_queries, source.expected.queries), (source.max_passages, source.expected.passages)]
    far = [cap for cap, count in caps if cap and not count / MOST <= cap <= count * MOST]
    # A text of clustering is a query and a passage; rows of `pairs` and `best_answer` are queries.
    rows = rows_of(source) or 0
    if source.adapter in ("labelled", "pairs", "best_answer") and source.max_queries is None:
        far += [rows] if rows > MOST * source.expected.queries else []
    if source.task == "clustering" and source.max_passages is None:
        far += [rows] if rows > MOST * source.expected.passages else []
    assert bool(far) is (f"more than {MOST} times the paper's" in " ".join(source.notes.split()))


def test_the_stanzas_of_before_that_gave_other_counts_have_caps_that_are_too_far():
    for name, cap, paper in (("arxiv_clustering_p2p", 300_000, 83_476), ("arxiv_clustering_s2s", 300_000, 83_486)):
        assert (BEFORE[name].max_queries, BEFORE[name].max_passages) == (cap, None)
        assert cap > MOST * paper
        assert NOW[name].max_queries <= MOST * paper
    assert BEFORE["stackexchange_clustering_s2s"].max_queries is None


@each_stanza
def test_a_status_names_the_repository_and_the_commit_or_branch_that_was_seen(source):
    note = source.status.note
    [fetch] = source.fetch
    place = fetch.repository or source.reference.removeprefix("https://github.com/")
    assert note.startswith(place), note
    first = note.removeprefix(place).split(": ", 1)[0]
    pinned = bool(fetch.revision) and (first == "" or first.startswith(" at this commit"))
    named = any(word in f"{first}," for word in (", main", ", branch refs/", ", refs/", " at "))
    assert pinned or named, note
    assert source.status.level != "declared" or source.name in ("fever", "msmarco")


def test_every_place_of_a_stanza_is_listed_once_and_no_other():
    places = {key_of(fetch) for source in (*NOW.values(), *BEFORE.values()) for fetch in source.fetch}
    assert places - set(LISTINGS) == {"miracl/miracl@refs/convert/parquet"}
    # That branch was never seen; of this one the files were.
    assert set(LISTINGS) - places == {"miracl/miracl@main"}


def test_the_documentation_says_how_much_is_fetched_for_the_paper_and_how_much_there_is():
    now = sizes(NOW.values())
    before = sizes(BEFORE.get(name, whole(source)) for name, source in NOW.items())
    estimates = [size for file, size in now.items() if is_estimate(*file)]
    stated = (
        f"The files of all 60 are {sum(now.values()) / 1e9:.0f} GB, {sum(estimates) / 1e9:.0f} GB of it estimated; "
        f"the whole files of the same data sets would be {sum(before.values()) / 1e9:.0f} GB."
    )
    assert stated in " ".join((ROOT / "docs/sources.md").read_text().split())


@each_stanza
def test_the_documentation_says_of_a_source_how_much_is_fetched(source):
    [line] = [
        line
        for line in (ROOT / "docs/sources.md").read_text().splitlines()
        if line.startswith(f"| `{source.name}` | ") and line.count(" | ") > 6
    ]
    assert line.split(" | ")[3] == size_cell(source)
