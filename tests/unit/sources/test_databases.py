"""Databases as sources: a query to DuckDB or SQLite becomes a Parquet file of sorted rows."""

import contextlib
import sqlite3
import subprocess
import sys

import duckdb
import pyarrow.parquet as pq
import pytest

from f2llm.config.check import check, load_schema
from f2llm.config.fetch import Fetch
from f2llm.config.rights import Licence
from f2llm.fetch import databases
from f2llm.fetch.databases import is_database, tables_of
from f2llm.fetch.fetch import fetch_files
from f2llm.fetch.reach import reach
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file, write_json
from f2llm.sources.bundle import BundleEntry, make_bundle
from f2llm.sources.probe.places import look_at
from f2llm.sources.probe.remote import Budget

ROWS = [(2, "Where?", "There."), (1, "When?", "Now."), (1, "When?", "Never.")]
ALL = "SELECT id, question, answer FROM faq"


def make_duckdb(path, *statements):
    with duckdb.connect(str(path)) as database:
        database.execute("CREATE TABLE faq (id INTEGER, question TEXT, answer TEXT)")
        database.executemany("INSERT INTO faq VALUES (?, ?, ?)", ROWS)
        for statement in statements:
            database.execute(statement)


def make_sqlite(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE faq (id INTEGER, question TEXT COLLATE NOCASE, answer TEXT)")
        database.executemany("INSERT INTO faq VALUES (?, ?, ?)", ROWS)
        for statement in statements:
            database.execute(statement)
        database.commit()


MAKE = {"duckdb": make_duckdb, "sqlite": make_sqlite}


@pytest.fixture(params=MAKE)
def made(request, tmp_path):
    """Return a function that makes a database of either engine, with more tables."""

    def make(*statements):
        MAKE[request.param](tmp_path / "shop.db", *statements)
        return tmp_path / "shop.db"

    return make


@pytest.fixture
def ask(tmp_path):
    """Return a function that fetches the rows of a query and gives what was fetched and its table."""

    def fetch(query=ALL, folder="raw", **place):
        (tmp_path / folder).mkdir(exist_ok=True)
        place = Fetch(**{"kind": "sql", "path": "shop.db", "query": query} | place)
        [fetched] = fetch_files([place], tmp_path / folder, owner="source shop")
        return fetched, pq.read_table(tmp_path / folder / fetched.name)

    return fetch


def test_rows_are_sorted_by_all_columns_of_the_query(made, ask, tmp_path):
    path = made()
    fetched, table = ask()
    assert table.to_pylist() == [
        {"id": 1, "question": "When?", "answer": "Never."}, {"id": 1, "question": "When?", "answer": "Now."},
        {"id": 2, "question": "Where?", "answer": "There."},
    ]  # fmt: skip
    assert fetched.name.startswith("shop-")
    assert (fetched.kind, fetched.package, fetched.version) == ("sql", "shop.db", sha256_file(path))
    assert fetched.sha256 == sha256_file(tmp_path / "raw" / fetched.name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "shop.db"]
    assert len(list((tmp_path / "raw").iterdir())) == 1


def test_equal_rows_in_another_order_give_equal_bytes(made, ask):
    made()
    first = ask(f"{ALL} ORDER BY id DESC;")[0], ask(f"{ALL} ORDER BY answer -- by hand")[0]
    assert first[0].sha256 == first[1].sha256
    assert first[0].name != first[1].name


def test_upper_case_comes_before_lower_case_whatever_the_collation(made, ask):
    made("INSERT INTO faq VALUES (1, 'WHEN?', 'Zero.')")
    assert ask("SELECT question FROM faq WHERE id = 1")[1]["question"].to_pylist() == ["WHEN?", "When?", "When?"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nothing FROM faq", "nothing.*; correct `query`"),
        ("SELEC id FROM faq", "syntax error.*; correct `query`"),
        ("SELECT id, id FROM faq", "query: the column 'id' is there twice"),
        ("SELECT id FROM faq WHERE id > 9", "the query gives no rows"),
        ("INSERT INTO faq VALUES (3, 'a', 'b')", "SELECT|a query may only read the tables"),
        ("ATTACH 'other.db' AS other", "SELECT|a query may only read the tables"),
        ("SELECT id FROM faq; DELETE FROM faq", "is not one SELECT|one statement at a time"),
        ("SELECT id FROM faq) UNION ALL (SELECT 1", "correct `query`"),
        ("PRAGMA database_list", "SELECT|a query may only read the tables"),
        ("-- nothing", "SELECT"),
    ],
)
def test_a_query_that_does_not_read_rows_is_refused_and_changes_nothing(made, ask, tmp_path, query, message):
    before = sha256_file(made())
    with pytest.raises(InputError, match=rf"source shop: shop\.db: (?s:.)*({message})"):
        ask(query)
    assert sha256_file(tmp_path / "shop.db") == before
    assert not (tmp_path / "other.db").exists()
    assert list((tmp_path / "raw").iterdir()) == []


def test_duckdb_cannot_leave_its_file(ask, tmp_path):
    make_duckdb(tmp_path / "shop.db")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for query in ("SELECT * FROM read_csv('secret.csv')", "SELECT * FROM glob('*')", "SELECT * FROM 'secret.csv'"):
        with pytest.raises(InputError, match=r"source shop: shop\.db: "):
            ask(query)


def test_sqlite_loads_no_extension(ask, tmp_path):
    make_sqlite(tmp_path / "shop.db")
    with pytest.raises(InputError, match="not authorized"):
        ask("SELECT load_extension('x') AS x")


def test_what_is_no_database_is_refused(ask, tmp_path):
    (tmp_path / "shop.db").write_text("id,question\n1,When?\n")
    with pytest.raises(InputError, match=r"shop\.db: neither a DuckDB nor a SQLite file"):
        ask()
    with pytest.raises(InputError, match="is a folder"):
        ask(path="raw")
    with pytest.raises(InputError, match="lies outside"):
        ask(path="../shop.db")
    with pytest.raises(InputError, match="there is no such file"):
        ask(path="gone.db")
    (tmp_path / "shop.db").write_bytes(b"SQLite format 3\0" + b"x" * 200)
    with pytest.raises(InputError, match=r"source shop: shop\.db: DatabaseError: file is not a database"):
        ask()


def test_changes_that_are_not_in_the_file_yet_are_refused(made, ask, tmp_path):
    path = made()
    suffix = ".wal" if path.read_bytes()[8:12] == b"DUCK" else "-wal"
    (tmp_path / f"shop.db{suffix}").write_bytes(b"x")
    with pytest.raises(InputError, match=rf"shop\.db{suffix} holds changes that are not in it yet; close"):
        ask()


def test_a_locked_database_is_named(ask, tmp_path, monkeypatch):
    monkeypatch.setattr("f2llm.fetch.databases.LOCK_SECONDS", 0.01)
    make_sqlite(tmp_path / "shop.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match="database is locked; close what writes to it"):
            ask()
    (tmp_path / "shop.db").unlink()
    make_duckdb(tmp_path / "shop.db")
    code = "import duckdb, sys; kept = duckdb.connect('shop.db'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(InputError, match="Could not set lock .*; close what writes to it"):
            ask()
        writer.communicate("")


def test_a_sqlite_file_in_wal_mode_is_read_and_nothing_is_put_beside_it(ask, tmp_path):
    make_sqlite(tmp_path / "shop.db", "COMMIT", "PRAGMA journal_mode = WAL")
    assert len(ask()[1]) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "shop.db"]


def test_a_pinned_database_that_has_changed_is_refused(made, ask):
    path = made()
    assert len(ask(sha256=sha256_file(path))[1]) == 3
    with pytest.raises(InputError, match=rf"shop\.db: sha256 is {sha256_file(path)}, the stanza pins 000"):
        ask(sha256="0" * 64)


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ("(1), (NULL), (2)", [1, 2, None]),
        ("(1), (0.5)", [0.5, 1.0]),
        ("(1), ('one'), (2.0)", ["1", "2", "one"]),
        ("(NULL)", [None]),
        ("(x'6162')", [b"ab"]),
    ],
)
def test_cells_of_sqlite_get_one_type_a_column(ask, tmp_path, values, cells):
    make_sqlite(tmp_path / "shop.db", "CREATE TABLE loose (x)", f"INSERT INTO loose VALUES {values}")
    assert sorted(ask("SELECT x FROM loose")[1]["x"].to_pylist(), key=str) == sorted(cells, key=str)


def test_bytes_beside_other_cells_of_sqlite_are_refused(ask, tmp_path):
    make_sqlite(tmp_path / "shop.db", "CREATE TABLE loose (x)", "INSERT INTO loose VALUES (x'61'), ('b')")
    with pytest.raises(InputError, match="the column 'x' holds bytes and others"):
        ask("SELECT x FROM loose")


def test_types_of_duckdb_are_kept_as_parquet_has_them(ask, tmp_path):
    make_duckdb(tmp_path / "shop.db", "CREATE TABLE kinds AS SELECT 1.50::DECIMAL(9, 2) AS price, DATE '2024-05-31' AS day, 'new'::ENUM('new', 'old') AS state, ['a'] AS tags, 5::HUGEINT AS big")  # fmt: skip
    [row] = ask("FROM kinds")[1].to_pylist()
    assert {name: str(cell) for name, cell in row.items()} == {
        "price": "1.50", "day": "2024-05-31", "state": "new", "tags": "['a']", "big": "5",
    }  # fmt: skip
    with pytest.raises(InputError, match=r"shop\.db: ArrowNotImplementedError: .*; correct `query`"):
        ask("SELECT INTERVAL 1 DAY AS span")
    with pytest.raises(InputError, match=r"source shop: shop\.db: .*Could not convert string 'Whe"):
        ask("SELECT question::INTEGER AS number FROM faq")


@pytest.mark.parametrize(("at_once", "merges"), [(5, 0), (4, 1), (2, 3)])
def test_parts_that_are_sorted_alone_are_merged_some_at_a_time(ask, tmp_path, monkeypatch, at_once, merges):
    monkeypatch.setattr(databases, "BATCH_ROWS", 2048)
    monkeypatch.setattr(databases, "SORTED_BYTES", 1)
    monkeypatch.setattr(databases, "MERGED_PARTS", at_once)
    merged = []
    monkeypatch.setattr(databases, "_merged", lambda parts, real=databases._merged: merged.append(parts) or real(parts))
    make_duckdb(tmp_path / "shop.db", "CREATE TABLE many AS SELECT md5(i::TEXT) AS x FROM range(10000) t(i)")
    cells = ask("FROM many")[1]["x"].to_pylist()
    assert len(cells) == 10_000
    assert cells == sorted(cells)
    assert len(merged) == merges + 1
    assert max(map(len, merged)) <= at_once


def test_tables_are_listed_with_their_rows(made):
    path = made("CREATE TABLE \"odd \"\"name\" (x INTEGER)", "CREATE VIEW short AS SELECT id FROM faq WHERE id = 2")  # fmt: skip
    assert tables_of(path) == {'"faq"': 3, '"odd ""name"': 0, '"short"': 1}
    assert is_database(path)


def test_tables_that_cannot_be_read_are_passed_over_by_name(tmp_path, caplog):
    (tmp_path / "kept.csv").write_text("a\n1\n")
    make_duckdb(
        tmp_path / "a.db", "CREATE SCHEMA own", "CREATE TABLE own.faq AS FROM faq LIMIT 2", "CREATE VIEW out AS FROM 'kept.csv'"
    )  # fmt: skip
    assert tables_of(tmp_path / "a.db") == {'"faq"': 3, '"own"."faq"': 2}
    make_sqlite(tmp_path / "b.db", "CREATE VIRTUAL TABLE words USING fts5(question)", "INSERT INTO words VALUES ('x')", "CREATE TABLE words_log (x)")  # fmt: skip
    assert tables_of(tmp_path / "b.db") == {'"faq"': 3, '"words_log"': 0}
    assert '"out" is passed over: ' in caplog.text
    assert '"words" is passed over: ' in caplog.text


def test_an_index_of_full_text_search_is_not_opened(ask, tmp_path):
    make_sqlite(tmp_path / "shop.db", "CREATE VIRTUAL TABLE words USING fts5(question)")
    with pytest.raises(InputError, match="full-text search are not opened; query the table behind it"):
        ask("SELECT * FROM words")


@pytest.mark.parametrize("place", [{"path": "a.db"}, {"path": "a.db", "query": None}, {"path": "a.db", "query": " "}, {"query": "SELECT 1"}])  # fmt: skip
def test_a_stanza_without_path_or_query_is_refused(place):
    content = {
        "name": "toy", "task": "retrieval", "fetch": [{"kind": "sql"} | place], "adapter": "pairs", "instruction": "Do.",
        "licence": {"id": "MIT", "commercial": "yes"}, "reference": "r", "group": "g",
    }  # fmt: skip
    assert len(check(content, schema=load_schema("source"), where="toy")) == 1
    good = {"kind": "sql", "path": "a.db", "query": "SELECT 1"}
    assert check(content | {"fetch": [good]}, schema=load_schema("source"), where="toy") == []


def test_a_bundle_carries_the_database_and_not_its_rows(ask, tmp_path):
    make_sqlite(tmp_path / "shop.db")
    fetched, _ = ask()
    write_json(tmp_path / "manifest.json", {"files": [fetched._asdict()]})
    entry = BundleEntry(
        kind="source", name="shop", fetch=(Fetch(kind="sql", path="shop.db", query=ALL),),
        licence=Licence(id="MIT", commercial="yes", note=""), manifest="manifest.json",
    )  # fmt: skip
    make_bundle([entry], config={"run": "r"}, stanzas=[], root=".", folder="bundle")
    assert sha256_file("bundle/local/shop.db") == sha256_file("shop.db")
    assert not list((tmp_path / "bundle").rglob("*.parquet"))


def test_a_database_that_is_not_there_is_named_before_a_run():
    gone = Fetch(kind="sql", path="gone.db", query=ALL)
    assert reach([("source shop", [gone])]).faults == (
        "source shop: gone.db is not there; put it there or correct `path`",
    )


def test_a_probe_looks_whether_it_is_a_database(tmp_path):
    make_sqlite(tmp_path / "shop.db")
    (tmp_path / "rows.csv").write_text("a\n")
    seen = [
        look_at(Fetch(kind="sql", path=path, query=ALL), owner="source shop", budget=Budget(0))
        for path in ("shop.db", "rows.csv", "gone.db")
    ]
    assert [len(place.faults) for place in seen] == [0, 1, 1]
    assert (seen[0].facts.files, seen[0].facts.bytes) == (1, (tmp_path / "shop.db").stat().st_size)
    assert seen[1].faults == ("source shop: rows.csv: neither a DuckDB nor a SQLite file",)
