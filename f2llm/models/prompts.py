"""The text that a model reads for a query or passage: the prompt with its instruction, then the text itself."""

from f2llm.records.ids import doc_id


def format_query(template: str, *, instruction: str, text: str) -> str:
    r"""The `template` with the instruction filled in, followed by `text`.

    A template ends where the text begins, e.g. "Instruct: {instruction}\nQuery: " (F2LLM, arXiv 2510.02294, after
    E5-Mistral, arXiv 2401.00368). An empty one leaves the text as it is. Braces in instruction and text are kept.
    """
    return template.replace("{instruction}", instruction) + text


def vector_id(text: str, *, prompt: str, instruction: str) -> bytes:
    """The 16-byte id under which the vector of a text is stored: that of the text which the model reads."""
    return doc_id(format_query(prompt, instruction=instruction, text=text))
