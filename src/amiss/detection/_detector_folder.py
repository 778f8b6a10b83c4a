"""The folder that a detector lies in, looked at without torch."""

import os
from pathlib import Path

from amiss.errors import DetectorError
from amiss.reading import check_folder, refusing

HEAD_FILE, JSON_FILE = "head.safetensors", "detector.json"


def detector_files(folder: str | os.PathLike[str]) -> dict[str, bytes]:
    """What a detector's folder has of it, name → content: head.safetensors and detector.json, in this order.

    Raises:
        DetectorError: they can't be read.
    """
    try:
        return {name: (Path(folder) / name).read_bytes() for name in (HEAD_FILE, JSON_FILE)}
    except OSError as error:
        raise DetectorError(f"{folder} can't be read as a detector: {error.strerror}: {error.filename}") from error


def check_detector_folder(folder: str | os.PathLike[str]) -> None:
    """Whether a folder has the files of a detector.

    Raises:
        DetectorError: it hasn't; where it is the folder of a run, the detector in it is named.
    """
    root = Path(folder)
    with refusing(DetectorError, f"detector {root}", "can't be read"):
        check_folder(root)
    missing = next((name for name in (JSON_FILE, HEAD_FILE) if not (root / name).is_file()), None)
    if missing is not None:
        runs = [name for name in ("selected", "last") if (root / name / JSON_FILE).is_file()]
        hint = f" (did you mean {root / runs[0]}?)" if runs else ""
        raise DetectorError(f"{root} is not a detector: {missing} is missing in it{hint}")
