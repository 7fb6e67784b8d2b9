"""A process in which mteb finds no network and leaves nothing behind.

mteb makes a cache folder when it is imported, and `datasets` and `huggingface_hub` read their folders and switches when
they are. So `offline` has to be entered before any of them is imported.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "MTEB_AUTO_INSTALL_EXTRAS": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}


@contextlib.contextmanager
def offline(scratch: str | Path) -> Iterator[Path]:
    """A new folder below `scratch`, deleted afterwards, to which all caches go.

    Jobs that shared a cache would rewrite each other's files, and read results of another model of the same name.
    """
    Path(scratch).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="evaluate-", dir=scratch, ignore_cleanup_errors=True) as name:
        folder = Path(name).absolute()
        wanted = SWITCHES | {"HF_HOME": str(folder / "hf"), "MTEB_CACHE": str(folder / "mteb")}
        before = {name: os.environ[name] for name in wanted if name in os.environ}
        os.environ.update(wanted)
        try:
            yield folder
        finally:
            for name in wanted:
                os.environ.pop(name, None)
            os.environ.update(before)
