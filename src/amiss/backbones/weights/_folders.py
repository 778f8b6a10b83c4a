"""Where weight files are on this machine: `$AMISS_WEIGHTS`, then torch hub's cache."""

import os
from pathlib import Path

import torch

from amiss.errors import WeightsError
from amiss.files import sha256_file

WEIGHTS_VARIABLE = "AMISS_WEIGHTS"
"""Environment variable: a folder of weight files, or one file, which serves only where its own name is asked for."""


def find_weights(name: str, sha256: str | None = None, *, explicit: str | os.PathLike[str] | None = None) -> Path:
    """Find the weight file that a spec names: the explicit file, then `$AMISS_WEIGHTS`, then torch hub's cache.

    Args:
        name: file name.
        sha256: the file's hash, or its first digits; None = don't check.
        explicit: a file that the user named; it may have another name.

    Raises:
        WeightsError: it is nowhere, or what is there is another file.
    """
    path = Path(explicit) if explicit is not None else locate(name)
    if path is None or not path.is_file():
        where = f"{path} doesn't exist" if path is not None else f"not in ${WEIGHTS_VARIABLE} nor in {hub_folder()}"
        digits = f" (sha256 {sha256[:12]}…)" if sha256 else ""
        raise WeightsError(
            f"weight file {name}{digits} is missing: {where}. Put it into {where_to_put()}, or give it as weights"
        )
    if sha256:
        replace = f"Delete it or move it away, and put the right one into {where_to_put()}"
        check_hash(path, name, sha256, "Give the right one" if explicit is not None else replace)
    return path


def check_hash(path: Path, name: str, sha256: str, advice: str) -> None:
    """Refuse a file whose SHA-256 doesn't begin with these digits.

    Raises:
        WeightsError: it doesn't; the message ends in the advice.
    """
    if not (found := sha256_file(path)).startswith(sha256):
        raise WeightsError(
            f"{path} is not the weight file {name}: its sha256 is {found[:12]}…, not {sha256[:12]}…. {advice}"
        )


def weights_folders() -> list[Path]:
    """Where weight files are looked for, in this order; downloaded ones go into the last one."""
    given = os.environ.get(WEIGHTS_VARIABLE)
    return [*([Path(given)] if given else []), hub_folder()]


def locate(name: str) -> Path | None:
    """The weight file of that name on this machine, or None."""
    candidates = (folder if folder.name == name else folder / name for folder in weights_folders())
    return next((path for path in candidates if path.is_file()), None)


def unused_variable() -> str | None:
    """Why `$AMISS_WEIGHTS` has no file of the name that was looked for, where it isn't an ordinary folder."""
    path = Path(os.environ.get(WEIGHTS_VARIABLE) or ".")
    if path.is_file():
        return f"${WEIGHTS_VARIABLE} is the file {path}, which serves only where its own name is asked for"
    return None if path.is_dir() else f"${WEIGHTS_VARIABLE} is {path}, which doesn't exist"


def where_to_put() -> str:
    """The folder for a weight file that someone fetched, for messages."""
    given, unused = os.environ.get(WEIGHTS_VARIABLE), unused_variable()
    if given and not unused:
        return f"the folder ${WEIGHTS_VARIABLE} ({given})"
    return f"{hub_folder()}, or a folder that ${WEIGHTS_VARIABLE} names" + (f" ({unused})" if unused else "")


def hub_folder() -> Path:
    """Torch hub's folder of weights, into which downloads go."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def hugging_face_cache() -> Path:
    """Where `transformers` and its kin keep what they downloaded: `models--OWNER--NAME/snapshots/COMMIT/FILE`."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser()
