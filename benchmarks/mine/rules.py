"""The paper's mining settings (F2LLM, arXiv 2510.02294, hard negatives), from the schema's own defaults."""

from typing import Any

from f2llm.config.build import build
from f2llm.config.check import load_schema, with_defaults
from f2llm.config.mine import Mine


def paper_rule(**changes: Any) -> Mine:
    """Return top 100, skip 5, below 0.8 and 95 % of the positive, 24 negatives, with some settings changed."""
    schema = load_schema("config")["properties"]["mine"]
    return build(Mine, with_defaults({"max_length": 512, "negatives": 24, "device": "cpu"} | changes, schema))
