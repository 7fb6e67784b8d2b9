"""What a probe says of places and of the first rows of their files, and how little it reads for that."""

import gzip
import io
import json
import lzma
import os
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stub_server import Fault, Server

from f2llm.config.fetch import Fetch
from f2llm.config.rights import Licence
from f2llm.fetch import reach as reach_module
from f2llm.fetch.fetch import fetch_files
from f2llm.fetch.retry import Passing
from f2llm.fetch.web import NoRanges, read_range
from f2llm.records.errors import InputError
from f2llm.records.schemas.probe import ProbedRows, read_probe
from f2llm.sources.probe import heads, places, verdict
from f2llm.sources.probe import probe as probe_module
from f2llm.sources.probe.cut import cut_head
from f2llm.sources.probe.part import Probed
from f2llm.sources.probe.probe import probe_all
from f2llm.sources.probe.verdict import compare_counts, compare_licence

PAIRS = "".join(
    json.dumps({"query": f"question {row}", "positive": f"answer {row}"}) + "\n" for row in range(40)
).encode()

PACKED = {
    ".gz": gzip.compress,
    ".xz": lambda content: lzma.compress(content, preset=0),
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


def source(*fetch, name="toy", task="retrieval", adapter="pairs", licence="MIT", **more):
    rights = Licence(id=licence, commercial="yes", note="")
    return Probed(kind="source", name=name, fetch=fetch, licence=rights, task=task, adapter=adapter, **more)


def hub(*files, repository="toy/rows", **more):
    return Fetch(kind="hub", repository=repository, files=files or ("*.jsonl",), **more)


def web(url, **more):
    return Fetch(kind="http", url=url, **more)


def probed(*fetch, **more):
    [record] = probe_all([source(*fetch, **more)]).records
    return record


def parquet(**columns):
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    return written.getvalue()


@pytest.fixture
def rows(server):
    server.add("datasets/toy/rows", {"a/train.jsonl": PAIRS, "README.md": b"# rows"})
    return server


def test_a_place_is_described_and_no_file_is_asked_for_whole(rows):
    record = probed(hub())
    assert (record.faults, record.remarks, record.columns) == ((), (), {"*.jsonl": ["query", "positive"]})
    [place] = record.places
    assert place == ("datasets/toy/rows@main", rows.branches["datasets/toy/rows", "main"], 1, len(PAIRS), len(PAIRS))
    assert record.rows[:4] == (40, True, 40, 40)
    assert all("bytes=" in line for line in rows.requests("^GET .*/resolve/"))


def test_what_is_in_the_store_is_not_fetched_again(rows):
    fetch_files([hub()], "out", owner="source toy")
    assert probed(hub()).places[0].missing_bytes == 0


@pytest.mark.parametrize(
    ("about", "fault"),
    [
        ({"gated": "manual"}, "source toy: toy/rows: the repository is gated: it has terms, and HF_TOKEN is not set"),
        ({"disabled": True}, "source toy: toy/rows: the hub has disabled the repository"),
    ],
)
def test_a_repository_that_is_listed_and_cannot_be_read_is_a_fault(rows, about, fault):
    rows.about["datasets/toy/rows"] = about
    record = probed(hub())
    assert record.faults[0].startswith(fault)
    assert rows.requests("/resolve/") == []


def test_terms_that_the_token_has_not_accepted_show_at_the_first_byte(rows, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    rows.about["datasets/toy/rows"] = {"gated": "auto"}
    rows.faults = [Fault("403", pattern="/resolve/", argument="X-Error-Code: GatedRepo")]
    [fault] = probed(hub()).faults
    assert "source toy: a/train.jsonl: HTTP 403: the repository is gated" in fault
    assert "secret" not in fault


def test_a_repository_with_another_name_is_a_remark_and_one_that_is_gone_a_fault(rows):
    rows.about["datasets/toy/rows"] = {"id": "new/rows"}
    assert probed(hub()).remarks[0].startswith("the repository is called new/rows now")
    assert "HTTP 404: there is no such repository" in probed(hub(repository="toy/gone")).faults[0]


def test_patterns_that_match_nothing_or_too_few_files_are_faults(rows):
    assert "no file is named like '*.parquet' of 2" in probed(hub("*.parquet")).faults[0]
    assert "`shards` asks for 2 files, the patterns match 1" in probed(hub(shards=2)).faults[0]


@pytest.mark.parametrize(
    ("card", "faults", "remarks"),
    [
        ("mit", 0, 0),
        ("unknown", 0, 0),
        ("", 0, 0),
        ("apache-2.0", 0, 1),
        ("cc-by-nc-4.0", 1, 0),
    ],
)
def test_a_card_that_forbids_what_the_stanza_allows_is_a_fault(card, faults, remarks):
    found = compare_licence(Licence(id="MIT", commercial="yes", note=""), card, owner="source toy")
    assert tuple(map(len, found)) == (faults, remarks)


def test_a_licence_of_the_card_is_held_against_the_stanza(rows):
    rows.about["datasets/toy/rows"] = {"cardData": {"license": ["cc-by-nc-4.0"]}}
    assert probed(hub()).faults == (
        "source toy: the card states the licence cc-by-nc-4.0, the stanza MIT and commercial use; correct `licence`",
    )


def test_of_a_model_one_byte_of_its_smallest_file_is_read(server):
    server.add("models/toy/model", {"model.safetensors": bytes(5000), "config.json": b"{}"})
    place = Fetch(kind="hub", repository="toy/model", repository_type="model", files=("*",))
    part = Probed(kind="model", name="toy", fetch=(place,), licence=None)
    [record] = probe_all([part]).records
    assert (record.faults, record.bytes, record.read_bytes) == ((), 5002, 1)
    assert [line.split("/")[-1] for line in server.requests("/resolve/")] == ["config.json bytes=0-0"]


def test_a_token_goes_to_no_host_that_files_are_redirected_to(rows, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    other, commit = Server(), rows.branches["datasets/toy/rows", "main"]
    other.files["/blob"] = PAIRS
    rows.redirects[f"/datasets/toy/rows/resolve/{commit}/a/train.jsonl"] = f"{other.url}/blob"
    assert probed(hub()).rows.rows == 40
    assert other.requests("^GET /blob bytes=") and other.authorised == []
    assert rows.authorised != []
    other.shutdown()


def test_a_range_is_never_more_than_what_was_asked_for(rows):
    rows.files["/files/large.jsonl"] = PAIRS * 4000
    rows.faults = [Fault("whole", pattern="large")]
    url = f"{rows.url}/files/large.jsonl"
    assert read_range(url, first=0, count=100) == (PAIRS[:100], len(PAIRS) * 4000)
    with pytest.raises(NoRanges):
        read_range(url, first=1, count=100)


def test_a_part_that_breaks_off_is_asked_for_again(rows):
    rows.files["/files/rows.jsonl"] = PAIRS
    rows.faults = [Fault("truncate", pattern="rows", times=1)]
    url = f"{rows.url}/files/rows.jsonl"
    with pytest.raises(Passing, match=rf"\d+ of {len(PAIRS):,} bytes came"):
        read_range(url, first=0, count=len(PAIRS))
    assert read_range(url, first=0, count=len(PAIRS)).content == PAIRS


def test_another_part_than_was_asked_for_is_refused(rows):
    rows.files["/files/rows.jsonl"] = PAIRS
    rows.faults = [Fault("start", pattern="rows")]
    with pytest.raises(NoRanges):
        read_range(f"{rows.url}/files/rows.jsonl", first=5, count=10)


def test_of_rows_that_are_too_long_for_a_probe_nothing_is_judged(tmp_path):
    (tmp_path / "long.jsonl").write_text('{"query": "' + "x" * 300_000 + '", "positive": "y"}\n')
    record = probed(Fetch(kind="local", path="long.jsonl"))
    assert (record.faults, record.remarks) == (
        (),
        (
            "long.jsonl: no whole row lies in its first 262,144 bytes",
            "no rows were seen, so nothing of them was judged",
        ),
    )


def test_a_web_page_is_no_part_of_a_file(rows):
    rows.faults = [Fault("html", pattern="/files/")]
    with pytest.raises(Passing, match="a web page came"):
        read_range(f"{rows.url}/files/x.jsonl", first=0, count=1)


def test_a_server_without_ranges_shows_the_beginning_of_rows_and_nothing_of_an_archive(rows):
    rows.files["/files/rows.jsonl"], rows.files["/files/rows.zip"] = PAIRS, bytes(5000)
    rows.faults = [Fault("whole", pattern="/files/")]
    assert probed(web(f"{rows.url}/files/rows.jsonl")).rows.rows == 40
    record = probed(web(f"{rows.url}/files/rows.zip"), options={"member": "*.jsonl"})
    assert record.faults == ()
    assert record.remarks == ("rows.zip: not looked into, the server sends no parts of files",)


def test_members_of_an_archive_are_read_out_of_it(rows):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/a.jsonl", PAIRS)
        archive.writestr("data/b.jsonl", PAIRS.replace(b"question", b"other"))
        archive.writestr("large.bin", os.urandom(2_000_000))
    rows.files["/files/rows.zip"] = packed.getvalue()
    record = probed(web(f"{rows.url}/files/rows.zip"), options={"member": "data/*.jsonl"})
    assert (record.faults, record.rows[:4]) == ((), (80, True, 80, 40))
    assert record.read_bytes < 300_000
    assert (
        "no member is named like 'other/*'"
        in probed(web(f"{rows.url}/files/rows.zip"), options={"member": "other/*"}).faults[0]
    )


def test_a_mirror_is_looked_at_where_the_url_fails(rows):
    rows.files["/files/rows.jsonl"] = PAIRS
    place = web(f"{rows.url}/files/gone.jsonl", mirrors=(f"{rows.url}/files/rows.jsonl",))
    assert probed(place).rows.rows == 40


def test_a_file_without_a_footer_is_no_parquet(rows):
    rows.add("datasets/toy/rows", {"train.parquet": parquet(query=["a"], positive=["b"])[:-8]})
    [fault] = probed(hub("*.parquet")).faults
    assert fault.startswith("source toy: train.parquet: not readable as Parquet (")


def test_rows_that_take_too_many_bytes_leave_the_columns_to_be_judged(rows):
    large = parquet(query=["q"], positive=[os.urandom(1_300_000).hex()])
    rows.add("datasets/toy/rows", {"train.parquet": large})
    record = probed(hub("*.parquet"))
    assert (record.faults, record.rows) == ((), None)
    assert record.remarks == ("the first rows take too many bytes: of Parquet the columns were judged alone",)
    assert record.read_bytes < 1_250_000
    [fault] = probed(hub("*.parquet"), options={"positive": "answer"}).faults
    assert "there is no column 'answer'; it has 'query', 'positive'" in fault


def test_columns_that_the_stanza_does_not_name_are_not_read(rows):
    wide = parquet(query=["q"], positive=["p"], image=[os.urandom(2_000_000)])
    rows.add("datasets/toy/rows", {"train.parquet": wide})
    record = probed(hub("*.parquet"))
    assert (record.faults, record.rows[:3]) == ((), (1, True, 1))
    assert record.read_bytes < 200_000


def test_files_of_several_kinds_under_one_pattern_are_named_with_their_folders(rows):
    files = {
        "a/x.parquet": parquet(query=["q"], positive=["p"]),
        "b/x.parquet": parquet(query=["q"], positive=["p"], n=[1]),
    }
    rows.add("datasets/toy/rows", files)
    [fault] = probed(hub("*.parquet")).faults
    assert "'*.parquet' matches files of 2 kinds: a/x.parquet has positive, query; b/x.parquet has n, positive" in fault


def test_rows_that_give_no_record_are_a_fault_with_the_reasons(rows):
    rows.add("datasets/toy/rows", {"train.jsonl": b'{"query": "q", "positive": {"texts": []}}\n' * 3})
    [fault] = probed(hub(), options={"positive": "positive.text"}).faults
    assert (
        fault == "source toy: no record in the rows that were seen: 'positive.text' is empty (3); correct the options"
    )


def test_files_without_rows_are_a_fault(rows):
    rows.add(
        "datasets/toy/rows",
        {"train.parquet": parquet(query=pa.array([], pa.string()), positive=pa.array([], pa.string()))},
    )
    assert "no record in the rows that were seen: there are none" in probed(hub("*.parquet")).faults[0]


def test_a_small_workbook_is_read_whole_and_a_large_one_not(rows):
    book, written = openpyxl.Workbook(), io.BytesIO()
    for row in (("query", "positive"), ("q1", "p1"), ("q2", "p2")):
        book.active.append(row)
    book.save(written)
    rows.add("datasets/toy/rows", {"train.xlsx": written.getvalue()})
    assert probed(hub("*.xlsx")).rows[:4] == (2, True, 2, 2)
    rows.add("datasets/toy/rows", {"train.xlsx": written.getvalue() + bytes(300_000)})
    record = probed(hub("*.xlsx"))
    assert record.faults == ()
    assert record.remarks[0] == "train.xlsx: no whole row lies in its first 262,144 bytes"


def test_an_adapter_of_another_task_is_a_fault(rows):
    rows.add("datasets/toy/rows", {"train.jsonl": b'{"text": "t", "label": "l"}\n'})
    assert "yields Labelled, which is not what retrieval is made of" in probed(hub(), adapter="labelled").faults[0]


def test_files_that_are_joined_are_judged_each_by_its_columns(rows):
    rows.add("datasets/toy/rows", {
        "corpus.jsonl": b'{"_id": "d1", "title": "", "text": "passage"}\n',
        "queries.jsonl": b'{"_id": "q1", "text": "query"}\n',
        "qrels/train.jsonl": b'{"query-id": "q9", "corpus-id": "d9", "score": 1}\n',
    })  # fmt: skip
    record = probed(hub("corpus*", "queries*", "qrels/*"), adapter="beir")
    assert record.faults == ()
    assert record.remarks == ("no query was seen with its passage: they lie in different files",)
    assert record.rows[1:4] == (True, None, 1)


def test_local_files_are_read_where_they_lie(tmp_path):
    (tmp_path / "mine.jsonl").write_bytes(PAIRS)
    record = probed(Fetch(kind="local", path="mine.jsonl"))
    assert (record.faults, record.rows.rows, record.read_bytes) == ((), 40, 0)
    assert "there is no such file" in probed(Fetch(kind="local", path="gone.jsonl")).faults[0]


def test_other_files_of_a_folder_are_no_fault(tmp_path):
    (tmp_path / "mine").mkdir()
    for name, content in {"LICENSE": b"-", "README.txt": b"# rows", "rows.jsonl": PAIRS, "zoo.md": b"a\nb\n"}.items():
        (tmp_path / "mine" / name).write_bytes(content)
    record = probed(Fetch(kind="local", path="mine"))
    assert (record.faults, record.rows[:4]) == ((), (40, True, 40, 40))


def test_the_package_index_is_asked_once_and_its_fault_said_once(monkeypatch):
    asked = []
    monkeypatch.setattr(reach_module, "run_pip", lambda arguments: asked.append(arguments) or (1, "no such index"))
    wheels = [Fetch(kind="package", package=name, version="1", sha256="0" * 64) for name in ("one", "two")]
    probe = probe_all([source(wheel, name=wheel.package) for wheel in wheels])
    assert len(asked) == 1
    assert len(probe.faults) == 1 and "the package index: does not have one" in probe.faults[0]


def test_a_host_that_is_away_is_asked_once(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    [fault] = probed(hub()).faults
    assert fault.startswith("source toy: 127.0.0.1:9: does not answer (")


def test_offline_a_probe_is_refused(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="HF_HUB_OFFLINE forbids it"):
        probe_all([source(hub())])


def test_a_fetch_of_another_commit_than_the_probe_saw_says_so(rows, caplog):
    seen = probed(hub()).commit
    now = rows.add("datasets/toy/rows", {"a/train.jsonl": PAIRS * 2})
    fetch_files([hub()], "out", owner="source toy")
    assert f"main has changed since it was last listed: it was {seen}, it is {now} now" in caplog.text


def test_records_are_kept_and_those_of_others_stay(rows):
    first, second = (source(hub(), name=name) for name in ("first", "second"))
    [one] = probe_all([first]).records
    [two] = probe_all([second]).records
    assert read_probe("results/probe.json") == [one, two]


def test_files_that_sources_share_count_once_against_the_disk(rows, monkeypatch):
    probe = probe_all([source(hub(), name=name) for name in ("first", "second")])
    assert probe.missing_bytes == len(PAIRS)
    assert probe._replace(free_bytes=len(PAIRS)).faults == ()
    assert probe._replace(free_bytes=len(PAIRS) - 1).faults[0].startswith("all together: ")


def test_what_is_found_is_told_a_line_a_source(rows, monkeypatch):
    monkeypatch.setattr(probe_module.shutil, "disk_usage", lambda _: type("Disk", (), {"free": 5 * 10**9}))
    said = []
    probe_all([source(hub()), source(hub("x*"), name="other")], tell=said.append)
    commit = rows.branches["datasets/toy/rows", "main"][:12]
    assert said[0] == (
        f"ok    source toy: 1 file of 0.0 MB, 0.0 MB to fetch, 5.0 GB free, 40 rows with 40 queries, 40 passages, commit {commit}"
    )
    assert said[1].startswith("fault source other: ")
    assert said[2].startswith("      fault: source other: toy/rows: no file is named like 'x*'")
    assert said[3] == "2 probed, 1 with faults; 0.0 MB to fetch, 5.0 GB free; 0.0 MB of files were read for this"


@pytest.mark.parametrize(
    ("task", "counts", "caps", "faults", "remarks"),
    [
        ("clustering", (200, 100), {}, [], []),
        ("clustering", (201, 100), {}, ["201 queries, published are 100; set max_queries to about as many"], []),
        ("clustering", (100, 201), {}, ["201 passages, published are 100; set max_passages to about as many"], []),
        ("clustering", (500, 500), {"max_queries": 100, "max_passages": 200}, [], []),
        ("clustering", (201, 100), {"options": {"distinct": "id"}}, [], ["201 queries, published are 100; rows of one 'id' count once later"]),
        ("classification", (201, 2), {}, ["201 queries, published are 100; set max_queries to about as many"], []),
        ("retrieval", (201, 9000), {}, [], ["201 queries, published are 100; max_queries would keep as many"]),
        ("retrieval", (90, 50), {}, [], ["50 passages, published are 100"]),
        ("retrieval", (89, 90), {}, [], ["89 queries, published are 100"]),
        ("retrieval", (90, 49), {}, ["49 passages, published are 100; name files that hold more, or raise max_passages"], []),
        ("retrieval", (None, 90), {}, [], []),
    ],
)  # fmt: skip
def test_counts_far_from_the_published_ones_are_said(task, counts, caps, faults, remarks):
    part = source(task=task, expected_queries=100, expected_passages=100, **caps)
    found = compare_counts(part, ProbedRows(1, True, *counts, 1.0, 1.0), used_share=1.0)
    assert found == (faults, remarks)


def test_too_few_records_are_no_fault_where_rows_are_left_out_that_others_may_make_up_for():
    part = source(expected_queries=100)
    rows = ProbedRows(90, False, 30, 30, 1.0, 1.0)
    assert compare_counts(part, rows, used_share=1 / 3) == ([], ["about 30 queries, published are 100"])
    assert compare_counts(part, rows, used_share=1.0)[0] != []


@pytest.mark.parametrize("suffix", PACKED)
def test_the_beginning_of_a_packed_file_tells_how_many_rows_the_whole_has(suffix):
    lines = "".join(f'{{"text": "{os.urandom(60).hex()}"}}\n' for _ in range(8000)).encode()
    packed = PACKED[suffix](lines)
    cut = cut_head(packed[:200_000], name=f"x.jsonl{suffix}", whole=False)
    assert 0.7 * 8000 < cut.rows / cut.taken_bytes * len(packed) < 1.1 * 8000
    assert cut_head(packed, name=f"x.jsonl{suffix}", whole=True).rows == 8000


@pytest.mark.parametrize(
    ("name", "content", "kept", "count"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a": 2}\n{"a', b'{"a": 1}\n{"a": 2}\n', 2),
        ("x.csv", b'a,b\n1,"x\ny"\n2,"z\n3,4\n', b'a,b\n1,"x\ny"\n', 1),
        ("x.tsv", b'a\tb\n1\t"x\n2', b'a\tb\n1\t"x\n', 1),
        ("x.csv", b"a,b\n1", b"", 0),
        ("x.json", b'[{"a": 1},\n {"a": 2}, {"a"', b'[{"a": 1},\n{"a": 2}]', 2),
        ("x.json", b'["q", "a"]\n["r", "b"]\n["s', b'["q", "a"]\n["r", "b"]\n', 2),
        ("x.json", b'[["q", "a"], ["r"', b'[["q", "a"]]', 1),
        ("x.jsonl", b'{"a": 1', b"", 0),
        ("x.jsonl.gz", b"no gzip", b"no gzip", 0),
        ("x.xlsx", b"PK\x03\x04", b"", 0),
    ],
)  # fmt: skip
def test_a_beginning_is_cut_behind_its_last_whole_row(name, content, kept, count):
    assert cut_head(content, name=name, whole=False)[:2] == (kept, count)


def test_a_bomb_is_not_unpacked(rows):
    packed = gzip.compress(bytes(20 << 20), 1)
    assert len(cut_head(packed, name="x.jsonl.gz", whole=True).content) < 1_000


def test_the_docs_state_the_limits_that_hold():
    text = (Path(__file__).parents[3] / "docs/probe.md").read_text(encoding="utf-8")
    assert f"at most {probe_module.MOST_BYTES / 1e6:.2f} MB of files are read" in text
    assert (
        f"{heads.FIRST_BYTES >> 10} KiB of JSON lines" in text
        and f"another folder {heads.OTHER_BYTES >> 10} KiB" in text
    )
    assert f"more than {places.LARGE_BYTES // 10**9} GB" in text
    assert f"over {verdict.FAR_OVER:.0f} x `expected`" in text and f"under {verdict.UNDER} x" in text
