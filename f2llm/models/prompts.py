"""The text that a model reads for a query: its instruction, its prompt, the query itself."""

from f2llm.records.ids import doc_id


def format_query(template: str, *, instruction: str, text: str) -> str:
    r"""Return `template` with the instruction filled in, followed by `text`.

    The template ends where the text begins, e.g. "Instruct: {instruction}\nQuery: " (F2LLM,
    arXiv 2510.02294, after E5-Mistral, arXiv 2401.00368). An empty template leaves the text as
    it is. Braces in instruction and text mean nothing.
    """
    return template.replace("{instruction}", instruction) + text


def vector_id(text: str, *, prompt: str, instruction: str) -> bytes:
    """Return the 16-byte id under which the vector of a text is stored: that of the text the model reads."""
    return doc_id(format_query(prompt, instruction=instruction, text=text))
