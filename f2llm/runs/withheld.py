"""What must not leave this machine: secrets, names of user and host, folders of a person."""

import getpass
import os
import re
import socket
from pathlib import Path

WITHHELD = "[withheld]"
# Tokens of the hub, of code hosts and of clouds; and what stands for a password in a URL.
_SECRETS = re.compile(
    r"hf_[A-Za-z0-9]{10,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?i:(?<=bearer )\S{8,})|(?i:(?<=token=)[^&\s]{8,})"
)
_HOMES = re.compile(r"(?<![\w.])(?:/home(?=/)|/Users(?=/)|/root(?![\w.-])|[A-Za-z]:\\Users)(?:[/\\][^\s'\":,;)\]]*)?")
SHORTEST = 4  # characters of a name that is withheld
# Characters of a name that a published file may not hold; shorter ones ("user") are words of templates as well.
SHORTEST_LEAK = 5
_TOKENS = ("TOKEN", "API_KEY", "PASSWORD")  # ends of environment variables whose values are secret


def withheld(text: str) -> str:
    """A message without secrets, home folders and the names of this user and host.

    For what programs and people wrote about a run (errors, notes, paths), never for texts of the data.
    """
    text = _SECRETS.sub(WITHHELD, text)
    for folder in _homes():
        text = re.sub(re.escape(folder) + r"(?:/[^\s'\":,;)\]]*)?", WITHHELD, text)
    text = _HOMES.sub(WITHHELD, text)
    for name in _names():
        text = re.sub(_word(name), WITHHELD, text)
    return text


def leaks(text: str) -> bool:
    """Whether a file to be published holds a name of this user or host, their home folder or a token of theirs.

    Only what is known of this machine counts: vocabularies and templates hold words such as `/root` themselves.
    """
    tokens = [value for key, value in os.environ.items() if key.endswith(_TOKENS) and value]
    names = [name for name in _names() if len(name) >= SHORTEST_LEAK]
    return any(re.search(_word(secret), text) for secret in (*names, *_homes(), *tokens))


def _names() -> list[str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""
    names = {user, socket.gethostname(), socket.gethostname().split(".")[0]}
    return sorted(name for name in names if len(name) >= SHORTEST and name not in ("root", "localhost"))


def _homes() -> set[str]:
    return {str(Path.home()), os.environ.get("HOME", "")} - {"", "/"}


def _word(name: str) -> str:
    """The pattern of a name that is no part of a longer word."""
    return rf"(?<!\w){re.escape(name)}(?!\w)"
