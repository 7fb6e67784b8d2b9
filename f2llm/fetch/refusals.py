"""Why the hub refuses a repository, a commit or a file, and what to do about it.

The hub says it in the headers X-Error-Code and X-Error-Message, as its client reads them.
"""

from typing import NamedTuple

from f2llm.config.fetch import Fetch
from f2llm.records.errors import InputError

CONVERTED = "refs/convert/parquet"  # the branch that the hub makes of a data set's files
# The hub makes this branch in one commit each time, and deletes it before: earlier commits vanish.
_REMADE = "the hub makes its branch of converted files anew whenever the data set changes, and the old commits vanish"
_NOT_CONVERTED = (
    "the hub has no branch of converted files of it: it converts no data set with a loading script any more; name "
    "files of main in `files`, without `branch`"
)


class Answer(NamedTuple):
    """How the hub refused: status of HTTP, and what its headers say."""

    status: int
    code: str = ""  # GatedRepo | RepoNotFound | RevisionNotFound | EntryNotFound | ...
    message: str = ""


def refusal(answer: Answer, fetch: Fetch, *, owner: str, what: str, locked: str, has_token: bool) -> InputError:
    """The fault of a refused question, in words.

    `what` ("source toy: owner/name@commit") is what was asked for, `locked` the commit of the lock file, if it is that
    which was asked for.
    """
    return InputError(f"{what}: HTTP {answer.status}: {_reason(answer, fetch, owner, locked, has_token=has_token)}")


def gated(*, has_token: bool) -> str:
    """What to do about a gated repository."""
    token = "the account of HF_TOKEN has not accepted them" if has_token else "HF_TOKEN is not set"
    return (
        f"the repository is gated: it has terms, and {token}; accept its terms on its page, and set HF_TOKEN to a "
        "token that may read it"
    )


DISABLED = "the hub has disabled the repository; look on its page why, and name another place, or take the source out"


def _reason(answer: Answer, fetch: Fetch, owner: str, locked: str, *, has_token: bool) -> str:
    if answer.message == "Access to this resource is disabled.":
        return DISABLED
    if answer.code == "GatedRepo":
        return gated(has_token=has_token)
    if answer.code == "RepoNotFound":
        return (
            "there is no such repository: it was deleted or renamed, or it is private; look for its new name and "
            "correct `repository`, or set HF_TOKEN to a token that may read it"
        )
    if answer.status in (401, 403):
        return (
            "the hub gives no access; if the repository is gated, accept its terms on its page, and set HF_TOKEN to a "
            "token that may read it"
        )
    refresh = f"take the files of today with `f2llm lock --refresh {owner.split()[-1]}`"
    if answer.code in ("RevisionNotFound", "EntryNotFound") and locked:
        if fetch.branch == CONVERTED:
            return f"what was locked is gone: {_REMADE}; {refresh}, or name files of main, whose commits stay"
        return f"what was locked is gone, since its history was rewritten; {refresh}"
    if answer.code == "RevisionNotFound" and not fetch.revision:
        return _NOT_CONVERTED if fetch.branch == CONVERTED else "there is no such branch; correct `branch`"
    if answer.code == "RevisionNotFound":
        return (
            "the repository does not have this commit: its history was rewritten, or it was of "
            f"{CONVERTED} ({_REMADE}); correct `revision`"
        )
    return "the hub does not have it; correct repository, revision or files"
