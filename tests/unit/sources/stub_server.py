"""A server on this machine that stands in for a hub and for any web server, with faults on demand."""

import hashlib
import json
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

LFS_FROM = 64  # bytes: larger files are listed with their sha256
PAGE = 2  # entries of one page of a listing


def commit_of(files):
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class Fault(NamedTuple):
    kind: str  # a status, or reset | truncate | short | flip | html | slow | whole | start | wrong_commit
    pattern: str = r"^GET .*/(resolve|files)/"  # of "METHOD path"
    times: int = 1_000
    argument: str = ""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {}  # "datasets/owner/name" -> {commit: {path: bytes}}, the last one is main
        self.branches = {}  # ("datasets/owner/name", branch) -> commit
        self.about = {}  # "datasets/owner/name" -> more of what the API says of it: gated, disabled
        self.files = {}  # "/files/..." -> bytes
        self.faults, self.log, self.gated, self.redirects, self.authorised = [], [], {}, {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def add(self, name, files, branch="main"):
        commit = commit_of(files)
        self.repositories.setdefault(name, {})[commit] = files
        self.branches[name, branch] = commit
        return commit

    def handle_error(self, request, client_address):
        pass

    def requests(self, pattern):
        return [line for line in self.log if re.search(pattern, line)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        line = f"{self.command} {path}"
        self.server.log.append(f"{line} {self.headers.get('Range', '')}".strip())
        if "Authorization" in self.headers:
            self.server.authorised.append(path)
        if path in self.server.redirects:
            return self.answer(302, b"", {"Location": self.server.redirects[path]})
        fault = self.fault(line, {"reset", "slow", "html", "403", "404", "429", "500", "503"})
        if fault and fault.kind == "slow":
            time.sleep(float(fault.argument))
        elif fault and fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return self.connection.close()
        elif fault and fault.kind == "html":
            return self.answer(200, b"<html>log in</html>", {"Content-Type": "text/html"})
        elif fault and fault.argument.startswith("X-"):
            return self.answer(int(fault.kind), b"{}", dict([fault.argument.split(": ")]))
        elif fault:
            return self.answer(int(fault.kind), b"{}", {"Retry-After": fault.argument} if fault.argument else {})
        if path in self.server.files:
            return self.body(self.server.files[path], {}, line)
        found = re.fullmatch(r"/api/(datasets|models)/([^/]+/[^/]+)/(revision|tree)/(.+?)", path)
        if found:
            return self.api(f"{found[1]}/{found[2]}", found[3], found[4])
        found = re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if found:
            return self.resolve(f"{found[1] or 'models/'}{found[2]}", found[3], found[4], line)
        return self.answer(404, b"{}")

    def repository(self, name, revision, *, listed=False):
        commits = self.server.repositories.get(name, {})
        open_to_all = listed and self.server.about.get(name, {}).get("gated")  # its files alone are gated
        if (
            name in self.server.gated
            and not open_to_all
            and self.headers.get("Authorization") != f"Bearer {self.server.gated[name]}"
        ):
            self.answer(401 if name not in self.server.repositories else 403, b"{}", {"X-Error-Code": "GatedRepo"})
            return None
        commit = self.server.branches.get((name, revision), revision)
        if commit not in commits:
            kind = "RevisionNotFound" if commits else "RepoNotFound"
            self.answer(404, b"{}", {"X-Error-Code": kind})
            return None
        return commit, commits[commit]

    def api(self, name, what, rest):
        hit = self.repository(name, rest, listed=True)
        if hit is None:
            return None
        commit, files = hit
        if what == "revision":
            about = {"id": name.split("/", 1)[1], "sha": commit, "siblings": [], "tags": [], "private": False}
            about |= self.server.about.get(name, {})
            return self.answer(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        start = int(re.search(r"cursor=(\d+)", self.path)[1]) if "cursor=" in self.path else 0
        entries = [self.entry(path, content) for path, content in sorted(files.items())]
        more = {}
        if start + PAGE < len(entries):
            base = self.path.split("&cursor")[0]
            more = {"Link": f'<{self.server.url}{base}&cursor={start + PAGE}>; rel="next"'}
        page = json.dumps(entries[start : start + PAGE]).encode()
        return self.answer(200, page, {"Content-Type": "application/json", **more})

    def entry(self, path, content):
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", "oid": blob, "size": len(content), "path": path}
        if len(content) >= LFS_FROM:
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return entry

    def resolve(self, name, revision, path, line):
        hit = self.repository(name, revision)
        if hit is None:
            return None
        commit, files = hit
        if path not in files:
            return self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        content, entry = files[path], self.entry(path, files[path])
        wrong = self.fault(line, {"wrong_commit"})
        about = {"X-Repo-Commit": "f" * 40 if wrong else commit}
        if "lfs" in entry:
            etag = entry["lfs"]["oid"]
            about |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        else:
            etag = entry["oid"]
        return self.body(content, about | {"ETag": f'"{etag}"'}, line)

    def body(self, content, headers, line):
        if "ETag" not in headers:
            headers = {**headers, "ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"'}
        if self.fault(line, {"flip"}):
            content = content[:-1] + bytes([content[-1] ^ 1])
        if self.fault(line, {"short"}):
            content = content[: len(content) // 2]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, headers.get("ETag"))
        status, start, end = 200, 0, len(content)
        if wanted and same and not self.fault(line, {"whole"}):
            if int(wanted[1]) >= len(content):
                return self.answer(416, b"")
            first = 0 if self.fault(line, {"start"}) else int(wanted[1])
            status, start, end = 206, first, min(end, int(wanted[2] or end - 1) + 1)
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}
        part = content[start:end]
        cut = self.command == "GET" and self.fault(line, {"truncate"})
        return self.answer(status, part, headers, send=part[: len(part) // 2] if cut else part)

    def answer(self, status, body, headers=None, send=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Accept-Ranges": "bytes", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if send is None else send)
            if send is not None and len(send) < len(body):
                self.close_connection = True

    def fault(self, line, kinds):
        for number, fault in enumerate(self.server.faults):
            if fault.kind in kinds and fault.times and re.search(fault.pattern, line):
                self.server.faults[number] = fault._replace(times=fault.times - 1)
                return fault
        return None
