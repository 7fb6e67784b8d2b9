"""Request of a user -> description of the function that serves it (Berkeley Function-Calling Leaderboard)."""

import json
from collections.abc import Iterator, Sequence

from f2llm.rows.archives import RawFile
from f2llm.rows.fields import one_line
from f2llm.sources.records import Passage, Query, Skipped


def function_calls(
    files: Sequence[RawFile], *, folder: str, parts: Sequence[str]
) -> Iterator[Passage | Query | Skipped]:
    """Yield functions as "name: description" (the first of each name) and requests that one call answers.

    Split by the name of the function.
    """
    for file in files:
        seen: set[str] = set()
        for part in parts:
            member = f"{folder}/{part}.json"
            answers = {
                entry["id"]: entry["ground_truth"] for entry in _lines(file, f"{folder}/possible_answer/{part}.json")
            }
            for row, entry in enumerate(_lines(file, member)):
                for function in entry["function"]:
                    if function["name"] in seen:
                        yield Skipped("a function of that name came before", file.where(member), row, "passage")
                    else:
                        seen.add(function["name"])
                        text = f"{function['name']}: {one_line(function['description'])}"
                        yield Passage(function["name"], text, file.where(member), row, "function")
                yield _request(entry, answers.get(entry["id"], []), where=file.where(member), row=row)


def _request(entry: dict, calls: list[dict], *, where: str, row: int) -> Query | Skipped:
    requests = [turn["content"] for turn in entry["question"][0] if turn["role"] == "user"]
    called = [next(iter(call)) for call in calls]
    if len(called) != 1 or called[0] not in {function["name"] for function in entry["function"]} or not requests:
        return Skipped("request is not answered by one call of one of its functions", where, row)
    return Query(one_line(requests[-1]), (called[0],), (), called[0], where, row, "question")


def _lines(file: RawFile, member: str) -> Iterator[dict]:
    with file.text(member) as lines:
        yield from (json.loads(line) for line in lines if line.strip())
