"""The first model card, written beside the weights: what the model is, how to use it, what it was trained on."""

from f2llm.models.config_forms import NEWER, OLDER
from f2llm.models.prompts import format_query
from f2llm.runs.run_file import RunFile
from f2llm.runs.withheld import withheld

# Which versions of the libraries read the folder, and how a control token's name in a text is read.
BOTH = (
    f"The files read the same in transformers {OLDER} with sentence-transformers 5.1 and in transformers {NEWER} with\n"
    "sentence-transformers 6."
)
NEWER_ALONE = (
    f"The files are for transformers {NEWER} with sentence-transformers 6. Do not use transformers 4, which\n"
    "would give other vectors or none: {fault}."
)
LETTERS = (
    "The name of a control token in a text is read as letters, in training and by this tokenizer\n"
    "(`split_special_tokens`)."
)
TOKENS = "The name of a control token in a text is read as that token, in training and by this tokenizer."
PAPER = "arXiv 2510.02294"
CARD = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
license: {licence}
tags:
- sentence-transformers
- feature-extraction
- sentence-similarity
---
# {run}

A text-embedding model: {base} ({reference}), trained in the manner of F2LLM ({paper}) for {steps} steps of
{batch} tuples with {negatives} hard negatives each. A text becomes a vector of {width} numbers of unit length, the
state of its last token, which is EOS; compare vectors by their cosine. The tokenizer appends EOS by itself. Texts were
cut to {query} tokens (queries, with instruction) and {passage} tokens (passages) in training; `max_seq_length` is the
larger of the two.

## Use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
queries = model.encode(["..."], prompt_name="query")  # or the name of a source below, for its own instruction
passages = model.encode(["..."])
print(model.similarity(queries, passages))
```

With `transformers`: put {prompt} before a query, take `last_hidden_state` at each text's
last token, and normalise it to unit length.

{versions}
{control_tokens}

## Data

The model was trained on these sources, after removal of duplicates and of texts that occur in the evaluation.
The data is not part of this folder. Rights on it are stated as its publishers state them; the model's use may be
subject to them. Of {total} sources, {unclear} do not clearly allow commercial use.

| source | task | tuples mined | drawn in training | licence | commercial use | described in |
|---|---|---|---|---|---|---|
{rows}
{left_out}
Base model: {base}, licence {base_licence}.

## How it came about

`f2llm.json` holds the digests of all that decides these weights; the plan and the lineage of the run name every
training tuple and the row it came from.
"""


def model_card(run: RunFile, *, width: int, letters: bool, older_fault: str) -> str:
    """The card of a trained model, in Markdown.

    `width` is the length of its vectors, `letters` whether its tokenizer spells control tokens in a text, `older_fault`
    why transformers 4 does not read it.
    """
    settings, backbone = run.settings, run.settings.backbone
    stanzas = {source.name: source for source in settings.sources}
    used = [stanzas[source.name] for source in run.sources]
    tuples = {source.name: (str(source.rows), str(source.planned)) for source in run.sources}
    cells = [(s.name, s.task, *tuples[s.name], s.licence.id, s.licence.commercial, _cell(s.reference)) for s in used]
    unclear = sum(source.licence.commercial != "yes" for source in used)
    prompt = format_query(backbone.query_prompt, instruction="<instruction>", text="")
    return CARD.format(
        licence="other" if unclear else backbone.licence.id.lower(),
        run=settings.run,
        base=backbone.name,
        reference=backbone.reference,
        paper=PAPER,
        steps=run.steps,
        batch=settings.train.batch_size,
        negatives=settings.train.negatives,
        width=width,
        query=settings.tokens.query_max_length,
        passage=settings.tokens.passage_max_length,
        versions=NEWER_ALONE.format(fault=older_fault) if older_fault else BOTH,
        control_tokens=LETTERS if letters else TOKENS,
        prompt=f"`{prompt!r}`" if prompt else "nothing",
        total=len(used),
        unclear=unclear,
        rows="\n".join(f"| {' | '.join(row)} |" for row in cells),
        left_out=_left_out(run),
        base_licence=backbone.licence.id,
    )


def _left_out(run: RunFile) -> str:
    skipped = "; ".join(f"{name} ({_cell(withheld(reason))})" for name, reason in run.left_out.items())
    lines = [f"\nThe run went on without these sources: {skipped}.\n"] if skipped else []
    if run.settings.barred:
        barred = "; ".join(f"{source.name} ({source.reason})" for source in run.settings.barred)
        lines.append(f"\nLeft out by the run's licence policy: {barred}.\n")
    return "".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
