"""Nothing of this machine or its user is in a report."""

import socket

import pytest

from f2llm.records.files import read_json, write_json
from f2llm.records.tables import read_batches
from f2llm.report.report import build_report
from f2llm.runs.withheld import WITHHELD, leaks, withheld

TOKEN = "hf_" + "Q" * 34


@pytest.fixture(autouse=True)
def someone(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "alicewonder")
    monkeypatch.setenv("HOME", "/home/alicewonder")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(socket, "gethostname", lambda: "rabbithole-7.example.org")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/alicewonder/data/faq.csv: no such file", f"{WITHHELD}: no such file"),
        ("/Users/bob/x and /root/.cache/y", f"{WITHHELD} and {WITHHELD}"),
        (f"401 with {TOKEN}", f"401 with {WITHHELD}"),
        ("https://bob:secret@host/path", f"https://{WITHHELD}@host/path"),
        ("https://host/file?token=abcdefgh12345678&x=1", f"https://host/file?token={WITHHELD}&x=1"),
        ("alicewonder on rabbithole-7", f"{WITHHELD} on {WITHHELD}"),
        ("data/faq.csv of alicewonderland", "data/faq.csv of alicewonderland"),
        (
            "the square root of 2 in results/sources/root.parquet",
            "the square root of 2 in results/sources/root.parquet",
        ),
    ],
)
def test_secrets_homes_and_names_are_withheld_and_nothing_else(text, kept):
    assert withheld(text) == kept


@pytest.mark.parametrize(
    "text",
    ["by alicewonder", "on rabbithole-7", "on rabbithole-7.example.org", "in /home/alicewonder/work", TOKEN, "key t"],
)
def test_a_text_with_a_name_home_or_token_of_this_machine_leaks(text, monkeypatch):
    monkeypatch.setenv("A_TOKEN", "t")
    assert leaks(text)


def test_words_that_are_names_elsewhere_do_not_leak(monkeypatch):
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setenv("B", "x")
    assert not leaks("root, /root, /home/bob and x of alicewonderland")
    monkeypatch.setenv("LOGNAME", "user")
    assert not leaks("<|user|>")


def test_no_token_user_host_or_home_is_in_page_tables_or_figures(results):
    told = (
        f"GET https://alicewonder:pw123456@rabbithole-7/x: 401, token {TOKEN}, cached in /home/alicewonder/.cache/hub"
    )
    path = results / "sources/toy/manifest.json"
    manifest = read_json(path) | {"skipped": told}
    manifest["files"][0]["name"] = "/home/alicewonder/data/toy.jsonl"
    write_json(path, manifest)
    run = results / "runs/toyrun/run.json"
    content = read_json(run)
    content["settings"]["backbone"]["fetch"]["path"] = "/home/alicewonder/models/base"
    content["settings"]["sources"][0]["licence"]["note"] = f"asked {told}"
    write_json(run, content)
    job = read_json(results / "job.json")
    write_json(results / "job.json", job | {"platform": "Linux rabbithole-7.example.org x86_64"})
    (results / "bad.json").write_text("{")
    build_report(
        results, run="toyrun", heldout=[], jobs=[str(results / name) for name in ("job.json", "bad.json", "none.json")],
        output=results / "report/index.html",
    )  # fmt: skip
    texts = [path.read_text() for path in (results / "report").rglob("*") if path.suffix in (".html", ".svg")]
    for path in (results / "report/tables").glob("*.parquet"):
        texts += [str(batch.to_pylist()) for batch in read_batches(path)]
    assert WITHHELD in "".join(texts)
    for secret in ("alicewonder", "rabbithole", TOKEN, "pw123456", "/home/", str(results)):
        assert not [text for text in texts if secret in text], secret
