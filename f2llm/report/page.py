"""Content and templates -> one HTML file: no network, no code but its own, texts of the data never markup."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from f2llm.records.files import atomic_open

TEMPLATES = Path(__file__).parent / "templates"


def write_page(template: str, path: Path, content: Mapping[str, Any]) -> int:
    """Write {template}.html.j2 filled with `content` to `path`; return its bytes.

    The page's policy lets only its own script run and nothing be loaded, whatever a text holds.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html = environment.get_template(f"{template}.html.j2").render(**content, script=script, script_hash=digest).encode()
    with atomic_open(path) as file:
        file.write(html)
    return len(html)
