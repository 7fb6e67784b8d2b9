"""What must not leave this machine in a report: secrets, names of user and host, folders of a person."""

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
SHORTEST = 4  # characters of a name that is looked for inside words


def withheld(text: str) -> str:
    """Return a message without secrets, home folders and the names of this user and host.

    For what programs and people wrote about a run (errors, notes, paths), never for texts of the data.
    """
    text = _SECRETS.sub(WITHHELD, text)
    for folder in {str(Path.home()), os.environ.get("HOME", "")} - {"", "/"}:
        text = re.sub(re.escape(folder) + r"(?:/[^\s'\":,;)\]]*)?", WITHHELD, text)
    text = _HOMES.sub(WITHHELD, text)
    for name in _names():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", WITHHELD, text)
    return text


def _names() -> list[str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""
    found = {user, socket.gethostname(), socket.gethostname().split(".")[0]}
    return sorted(name for name in found if len(name) >= SHORTEST and name not in ("root", "localhost"))
