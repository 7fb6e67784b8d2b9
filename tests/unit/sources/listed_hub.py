"""A hub on this machine that lists what hub_listings.yaml says, with those sizes, and makes the bytes of a range when it is asked.

Beginnings of JSON, delimited and zip files and the footer and first pages of Parquet files are real; what lies between is zeros.
"""

import base64
import functools
import gzip
import hashlib
import io
import json
import random
import re
import struct
import threading
import zipfile
import zlib
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from hub_listings import read_listings

PAGE = 1000
HEAD_BYTES = 300_000  # of a file that are made
REAL_ROWS = 64
FILLER_ROWS = 200_000
# Packed bytes of a row where nobody has said how many rows there are.
ROW_BYTES = {".parquet": 870, ".gz": 400, ".jsonl": 1500, ".json": 3000, ".tsv": 30}
ROW_BYTES_OF = {
    "BeIR/arguana-generated-queries": 350,
    "mteb/raw_biorxiv": 700,
    "mteb/raw_medrxiv": 700,
    "castorini/mr-tydi": 7500,
}
ITEMS = {"negative": 16, "negative_passages": 16}  # of a list; 2 of others
CLASSES = {"label", "label_text", "category", "categories", "subreddit", "tags", "forum"}
# What an archive holds that nobody listed: folder, files, lines of all files (counted in the repository itself).
ARCHIVE = "https://codeload.github.com/UKPLab/TWEAC-qa-agent-selection/zip/ed4f0cafa87aefd4820cca0d7f4881d2de99a9f0"
MEMBERS = (("stackexchange", 171, 1_014_826), ("reddit", 250, 128_000))
MEMBER_LINES = 1400  # that are made of a member
MEMBER_FOLDER = "TWEAC-qa-agent-selection-ed4f0cafa87aefd4820cca0d7f4881d2de99a9f0/data"


class Sparse(NamedTuple):
    """A file of `size` bytes, all zeros but for those of `parts` (offset, bytes)."""

    size: int
    parts: tuple[tuple[int, bytes], ...]

    def part(self, first, count):
        content = bytearray(max(0, min(count, self.size - first)))
        for offset, made in self.parts:
            start, end = max(first, offset), min(first + len(content), offset + len(made))
            if start < end:
                content[start - first : end - first] = made[start - offset : end - offset]
        return bytes(content)


class Hub(ThreadingHTTPServer):
    """`sent` counts bytes of bodies; `whole` are GET requests without a range that gave more than 1 MiB."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.listings = read_listings()
        self.commits = {}  # (repository, commit or branch) -> key of its listing
        for key in self.listings:
            if not key.startswith("https://"):
                repository, _, revision = key.rpartition("@")
                self.commits[repository, revision] = self.commits[repository, commit_of(key)] = key
        self.content = functools.cache(self._content)
        self.sent, self.whole, self.ranges = 0, [], True
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def _content(self, key, name):
        listing = self.listings[key]
        size, columns, suffix = listing.files[name], listing.columns_of(name), Path(name).suffix
        if key == ARCHIVE:
            return archive(size)
        if not columns or suffix not in ROW_BYTES:
            return Sparse(size, ())
        row_bytes = ROW_BYTES_OF.get(key.split("@")[0], ROW_BYTES[suffix])
        if (count := listing.rows_of([name])) is not None:
            row_bytes = size / count
        if suffix == ".parquet":
            return parquet(size, columns, rows=max(1, round(size / row_bytes)))
        return lines(
            name, size, columns, row_bytes=row_bytes, lists=any(fnmatchcase(name, pattern) for pattern in listing.lists)
        )


def commit_of(key):
    revision = key.rpartition("@")[2]
    return revision if re.fullmatch(r"[0-9a-f]{40}", revision) else hashlib.sha1(key.encode()).hexdigest()


def fields_of(kind):
    """The fields of a type that is written as {a: string, b: list<int>}."""
    fields, depth, start = [], 0, 1
    for place, mark in enumerate(kind):
        depth += (mark in "{<") - (mark in "}>")
        if (mark == "," and depth == 1) or place == len(kind) - 1:
            name, _, inner = kind[start:place].partition(":")
            fields.append((name.strip(), inner.strip()))
            start = place + 1
    return fields


def arrow(kind):
    if kind.startswith("list<"):
        return pa.list_(arrow(kind[5:-1]))
    if kind.startswith("{"):
        return pa.struct([(name, arrow(inner)) for name, inner in fields_of(kind)])
    return {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}[kind]


def value(kind, name, row, chars, noise):
    if kind.startswith("list<"):
        items = ITEMS.get(name, 2)
        return [value(kind[5:-1], name, row, chars // items, noise) for _ in range(items)]
    if kind.startswith("{"):
        return {field: value(inner, field, row, chars, noise) for field, inner in fields_of(kind)}
    if kind == "string":
        if name in CLASSES:
            return ("explainlikeimfive", "askscience", "AskHistorians")[row % 3]
        if name.endswith("id"):
            return f"{name}{row}"
        text = base64.b64encode(noise.randbytes(max(3, chars * 3 // 4))).decode().replace("/", " ").replace("+", " ")
        return f"t{row} {text}"
    return {"int": row % 3, "float": 4.5, "bool": True}[kind]


def rows_of(columns, count, chars, seed=""):
    noise = random.Random(seed)
    return [{name: value(kind, name, row, chars, noise) for name, kind in columns.items()} for row in range(count)]


def lines(name, size, columns, *, row_bytes, lists):
    suffix = [part for part in Path(name).suffixes if part in (".jsonl", ".json", ".tsv", ".csv", ".txt")][-1]
    packed = name.endswith(".gz")

    def written(rows):
        if suffix in (".tsv", ".csv"):
            table = [list(columns), *([str(cell) for cell in row.values()] for row in rows)]
            return "".join("\t".join(cells) + "\n" for cells in table).encode()
        return "".join(json.dumps(list(row.values()) if lists else row) + "\n" for row in rows).encode()

    def bytes_of(rows):
        return len(zlib.compress(written(rows)) if packed else written(rows)) / len(rows)

    # The length of texts that makes rows as long as they are said to be.
    short, long = bytes_of(rows_of(columns, 60, 20)), bytes_of(rows_of(columns, 60, 220))
    chars = max(4, round(20 + (row_bytes - short) * 200 / (long - short))) if long > short else 20
    most = min(size, HEAD_BYTES)
    content = written(rows_of(columns, max(1, round(1.1 * most / row_bytes)), chars, name))
    if packed:
        if size > HEAD_BYTES:
            packer = zlib.compressobj(6, wbits=31)
            return Sparse(size, ((0, packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH)),))
        while len(whole := gzip.compress(content)) > size:
            content = content[: content.rindex(b"\n", 0, int(0.98 * len(content) * size / len(whole))) + 1]
        return Sparse(size, ((0, whole),))  # zeros behind the end of gzip are none of it
    if size <= HEAD_BYTES:
        content = content[: content[:size].rindex(b"\n") + 1]
        return Sparse(size, ((0, content[:-1].ljust(size - 1) + b"\n"),))
    return Sparse(size, ((0, content),))


@functools.cache
def real_group(schema, chars):
    """A real file of the first rows."""
    columns, made = dict(schema), io.BytesIO()
    types = pa.schema([(name, arrow(kind)) for name, kind in columns.items()])
    pq.write_table(pa.Table.from_pylist(rows_of(columns, REAL_ROWS, chars), schema=types), made)
    return made.getvalue()


@functools.cache
def filler_footer(schema, rows):
    """The footer of a row group of so many rows that is never read; it is larger than that of the first rows."""
    columns, made = dict(schema), io.BytesIO()
    types = pa.schema([(name, arrow(kind)) for name, kind in columns.items()])
    large = pa.Table.from_pylist(rows_of(columns, 1, 200_000), schema=types)
    blank = pa.table([pa.nulls(rows - 1, kind) for kind in types.types], schema=types)
    pq.write_table(pa.concat_tables([large, blank]), made, row_group_size=rows)
    return pq.read_metadata(made)


def parquet(size, columns, *, rows):
    texts = json.dumps(columns).count("string") + json.dumps(columns).count("list")
    chars = int(min(400, max(6, size / rows / max(1, texts))))
    schema = tuple(columns.items())
    real, footer = real_group(schema, chars), io.BytesIO()
    meta = pq.read_metadata(io.BytesIO(real))
    for _ in range((rows - REAL_ROWS) // FILLER_ROWS):
        meta.append_row_groups(filler_footer(schema, FILLER_ROWS))
    if rest := max(0, rows - REAL_ROWS) % FILLER_ROWS:
        meta.append_row_groups(filler_footer(schema, rest))
    meta.write_metadata_file(footer)
    body, footer = real[: -8 - struct.unpack("<I", real[-8:-4])[0]], footer.getvalue()[4:]
    assert len(body) + len(footer) <= size, (size, len(body), len(footer))
    return Sparse(size, ((0, body), (size - len(footer), footer)))


class Member:
    """The bytes of a member of an archive, made when they are asked for; it has `size` bytes with what pads it."""

    def __init__(self, make, size):
        self._make, self._size = make, size

    def __len__(self):
        return self._size

    def __getitem__(self, part):
        return self._make().ljust(self._size, b"\0")[part]


@functools.cache
def archive(size):
    """A zip file of that size: each member's beginning is real, its announced length is that of all its lines."""
    noise = random.Random(0)
    pool = [base64.b64encode(noise.randbytes(36)).decode() for _ in range(MEMBER_LINES)]
    each = (size - 100_000) // sum(files for _, files, _ in MEMBERS)
    parts, directory, number = [], b"", 0
    for folder, files, count in MEMBERS:
        for file in range(files):
            lines = [f"{file} {line} {text}\n" for line, text in enumerate(pool[: count // files])]
            content, whole = "".join(lines).encode(), len(lines) == count // files
            info = zipfile.ZipInfo(f"{MEMBER_FOLDER}/{folder}/train/site{file:03}.txt")
            info.CRC, info.header_offset = zlib.crc32(content), number * each
            info.file_size = info.compress_size = len(content)
            if not whole:
                info.compress_type, info.compress_size = zipfile.ZIP_DEFLATED, each - 200
                info.file_size = round(len(content) / len(lines) * count / files)
            parts.append((info.header_offset, Member(functools.partial(member, info, content, whole), each)))
            name = info.filename.encode()
            directory += struct.pack(
                "<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, info.compress_type, 0, 0, info.CRC, info.compress_size,
                info.file_size, len(name), 0, 0, 0, 0, 0, info.header_offset,
            ) + name  # fmt: skip
            number += 1
    place = size - len(directory) - 22
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(directory), place, 0)
    return Sparse(size, (*parts, (place, directory + end)))


def member(info, content, whole):
    packer = zlib.compressobj(6, wbits=-15)
    packed = content if whole else packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH)
    return info.FileHeader(zip64=False) + packed


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/(?:datasets|models)/([^/]+/[^/]+)/(revision|tree)/(.+)", path):
            return self.api(*found.groups())
        if found := re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", path):
            key = self.server.commits.get((found[1], found[2]))
            return self.file(key, found[3])
        if path.startswith("/web/"):
            key = f"https://{path.removeprefix('/web/')}"
            return self.file(key if key in self.server.listings else None, path.rpartition("/")[2])
        return self.answer(404, b"{}")

    def api(self, repository, what, revision):
        key = self.server.commits.get((repository, revision))
        if key is None:
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        listing = self.server.listings[key]
        if what == "revision":
            about = {"id": repository, "sha": commit_of(key), "gated": False, "disabled": False}
            about |= {"cardData": {"license": listing.licence}} if listing.licence else {}
            return self.answer(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        start = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
        files = sorted(listing.files.items())
        listed = [
            {"type": "file", "oid": hashlib.sha1(name.encode()).hexdigest(), "size": size, "path": name}
            for name, size in files[start : start + PAGE]
        ]
        more = {}
        if start + PAGE < len(files):
            base = self.path.split("&cursor")[0]
            more = {"Link": f'<{self.server.url}{base}&cursor={start + PAGE}>; rel="next"'}
        return self.answer(200, json.dumps(listed).encode(), {"Content-Type": "application/json", **more})

    def file(self, key, name):
        if key is None or name not in self.server.listings[key].files:
            return self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        content = self.server.content(key, name)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")) if self.server.ranges else None
        if self.command == "HEAD":
            return self.answer(200, b"", {"Content-Length": str(content.size)})
        if wanted is None:
            if content.size > 1 << 20:
                self.server.whole.append(self.path)
            return self.answer(200, content.part(0, content.size))
        first, last = int(wanted[1]), min(int(wanted[2]), content.size - 1)
        part = content.part(first, last + 1 - first)
        return self.answer(206, part, {"Content-Range": f"bytes {first}-{last}/{content.size}"})

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.server.sent += len(body)
            self.wfile.write(body)
