"""Write into a stanza how far it is proven, without touching a line of anything else."""

import re
from pathlib import Path

from f2llm.records.errors import InputError
from f2llm.records.files import atomic_path
from f2llm.records.schemas.probe import ProbeRecord
from f2llm.records.yaml_files import read_yaml

LEVEL, KEPT = "probed", "fetched"  # what a probe proves, and what is more than that
STATUS = re.compile(r"^status:.*\n(?:(?:[ \t].*|[ \t]*)\n)*", re.MULTILINE)
OWN_KEYS = re.compile(r"^  (?:level|commit|date):.*\n", re.MULTILINE)


def update_status(stanza: str | Path, record: ProbeRecord) -> bool:
    """Write level, commit and date of a probe without faults into the file of a stanza; whether it was changed.

    The note and all other lines stay. A stanza that was fetched is not lowered.

    Raises:
        InputError: `status` is not written as a block, one key a line.
    """
    path = Path(stanza)
    text = path.read_bytes().decode()  # line ends as they are
    text += "" if text.endswith("\n") else "\n"
    before = read_yaml(path)
    if record.faults or before.get("status", {}).get("level") == KEPT:
        return False
    commit = [f'  commit: "{record.commit}"\n'] if record.commit else []
    own = [f"  level: {LEVEL}\n", *commit, f'  date: "{record.date}"\n']
    block = STATUS.search(text)
    if block is None:
        changed = f"{text.rstrip()}\nstatus:\n{''.join(own)}"
    else:
        head, *rest = block[0].splitlines(keepends=True)
        if head.split("#")[0].strip() != "status:":
            raise InputError(f"{path}: status: is written on one line; write one key a line below it")
        changed = f"{text[: block.start()]}{head}{''.join(own)}{OWN_KEYS.sub('', ''.join(rest))}{text[block.end() :]}"
    if changed == text:
        return False
    with atomic_path(path) as aside:
        aside.write_bytes(changed.encode())
        after = read_yaml(aside)
        notes = [content.pop("status", {}).get("note") for content in (before, after)]
        if after != before or notes[0] != notes[1]:
            raise InputError(f"{path}: status: cannot be changed by itself; write {', '.join(map(str.strip, own))}")
    return True
