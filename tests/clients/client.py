"""What a user's program does with a model folder or a table; run in another environment, so nothing of ours is imported.

`client.py vectors FOLDER TEXTS.json OUT.npz`, `client.py states OUT FOLDER...`, `client.py ids FOLDER TEXT`,
`client.py datasets FILE...`
"""

import json
import sys
from pathlib import Path

TOKENS = list(range(3, 43))  # of the text whose states are compared


def vectors(folder: str, texts: str, out: str) -> None:
    """Encode texts with transformers alone and with sentence-transformers; keep vectors and ids of tokens."""
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    content = json.loads(Path(texts).read_text())
    sentence = SentenceTransformer(folder, device="cpu")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    plain, tokens = [], []
    for first in range(0, len(content), 8):
        batch = tokenizer(
            content[first : first + 8], padding=True, truncation=True, max_length=sentence.max_seq_length,
            return_tensors="pt",
        )  # fmt: skip
        lengths = batch["attention_mask"].sum(1)
        with torch.inference_mode():
            states = model(**batch).last_hidden_state[torch.arange(len(lengths)), lengths - 1]
        plain.append(torch.nn.functional.normalize(states, dim=-1).numpy())
        tokens += [row[:length].tolist() for row, length in zip(batch["input_ids"], lengths, strict=True)]
    np.savez(out, plain=np.concatenate(plain), sentence=sentence.encode(content), tokens=json.dumps(tokens))


def states(out: str, *folders: str) -> None:
    """Run one text through the model of each folder; keep the states of its last layer, or why there are none."""
    import numpy as np
    import torch
    from transformers import AutoModel

    for folder in folders:
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor([TOKENS])).last_hidden_state
        np.save(Path(out, f"{Path(folder).name}.npy"), hidden.numpy())


def ids(folder: str, text: str) -> None:
    """Print the tokens of a text."""
    from transformers import AutoTokenizer

    print(json.dumps(AutoTokenizer.from_pretrained(folder)(text)["input_ids"]))


def datasets(*tables: str) -> None:
    """Print the number of rows of each table."""
    from datasets import Dataset

    print(json.dumps([len(Dataset.from_parquet(table, cache_dir=f"{table}.cache").to_pandas()) for table in tables]))


if __name__ == "__main__":
    {"vectors": vectors, "states": states, "ids": ids, "datasets": datasets}[sys.argv[1]](*sys.argv[2:])
