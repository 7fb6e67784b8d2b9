"""Check, before anything runs, that every place a run will fetch from answers: one short request a place."""

import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from f2llm.config.fetch import Fetch
from f2llm.fetch import hub, web
from f2llm.fetch.cache import CACHE
from f2llm.fetch.fetch import missing_offline
from f2llm.fetch.packages import run_pip
from f2llm.rows.files import local_files

TIMEOUT_SECONDS = 15
AT_ONCE = 16
# Statuses of a server that is there and only refuses a HEAD request: method, range, too many requests.
TOLERATED = (405, 416, 429)


class Reply(NamedTuple):
    """How a place answered: its URL or host, the fault ("" if there is none), and whether a server was there."""

    where: str
    fault: str
    answers: bool = True


class Reach(NamedTuple):
    """How many places of a run are in the store already, how many had to be asked, and what is wrong with these."""

    stored: int
    asked: int
    faults: tuple[str, ...]


def reach(orders: Sequence[tuple[str, Sequence[Fetch]]], *, ask: bool = True) -> Reach:
    """How many places of `orders` ("source NAME", its places) are stored, and a fault for each that does not answer.

    Local paths must exist; URLs and repositories get a HEAD request; the first package asks for the whole index.
    Without `ask` the network is left alone, and what is not stored counts as asked.
    """
    questions, stored, faults = {}, 0, []
    for owner, places in orders:
        for fetch in places:
            if fetch.kind in ("local", "sql"):
                stored += 1
                if not local_files(fetch.path):
                    faults.append(f"{owner}: {fetch.path} is not there; put it there or correct `path`")
            elif _is_stored(fetch, owner=owner):
                stored += 1
            else:
                questions.setdefault(_question_key(fetch), (owner, fetch))
    if ask and questions:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            replies = threads.map(reply_of, [fetch for _, fetch in questions.values()])
            faults += _grouped_faults(zip((owner for owner, _ in questions.values()), replies, strict=True))
    return Reach(stored, len(questions), tuple(faults))


def _grouped_faults(replies: Iterable[tuple[str, Reply]]) -> list[str]:
    """One line a place and fault: a host that is down is reported once, not for sixty sources."""
    owners: dict[tuple[str, str], list[str]] = {}
    for owner, reply in replies:
        owners.setdefault((reply.where, reply.fault), []).append(owner)
    return [f"{', '.join(names)}: {where}: {fault}" for (where, fault), names in owners.items() if fault]


def _is_stored(fetch: Fetch, *, owner: str) -> bool:
    """Whether a place's files can be had without the network."""
    wheel = fetch.kind != "package" or any((CACHE / fetch.sha256).glob("*.whl"))
    return wheel and not missing_offline(fetch, owner=owner)


def _question_key(fetch: Fetch) -> str:
    """The place that is asked; one for all packages, as they lie in one index."""
    if fetch.kind == "package":
        return "package index"
    return hub.pin_key(fetch) if fetch.kind == "hub" else fetch.url


def reply_of(fetch: Fetch) -> Reply:
    """How the place answers to one short question; a URL that does not may have a mirror that does."""
    if fetch.kind == "package":
        code, output = run_pip(["index", "versions", fetch.package, "--disable-pip-version-check"])
        last = " ".join(output.strip().splitlines()[-1:])
        fault = f"does not have {fetch.package}, or does not answer ({last}); check pip's settings"
        return Reply("the package index", fault if code else "")
    if fetch.kind == "hub":
        revision = quote(fetch.revision or fetch.branch or hub.MAIN, safe="")
        urls = [f"{hub.endpoint()}/api/{fetch.repository_type}s/{fetch.repository}/revision/{revision}"]
        advice = "HF_TOKEN is for repositories with terms, HF_ENDPOINT for a mirror of the hub"
    else:
        urls, advice = [fetch.url, *fetch.mirrors], "correct `url`, or add a mirror"
    replies = [_request_head(url, advice=advice) for url in urls]
    return next((reply for reply in replies if not reply.fault), replies[0])


def _request_head(url: str, *, advice: str) -> Reply:
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": web.USER_AGENT})
    if hub.token() and url.startswith(f"{hub.endpoint()}/"):
        request.add_unredirected_header("Authorization", f"Bearer {hub.token()}")
    try:
        with web.open_url(request, timeout=TIMEOUT_SECONDS):
            return Reply(url, "")
    except urllib.error.HTTPError as error:
        return Reply(url, "" if error.code in TOLERATED else f"answers {error.code}; {advice}")
    except (OSError, ValueError) as error:
        fault = f"does not answer ({getattr(error, 'reason', error)}); {advice}"
        return Reply(urlsplit(url).netloc, fault, answers=False)
