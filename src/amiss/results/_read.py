"""A folder of score results, as `amiss detect --out` wrote it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from amiss.detection import ScoreResult, read_score_result
from amiss.errors import EvaluationError
from amiss.reading import read_json, refusing


@dataclass(frozen=True)
class ResultsFolder:
    """What lies in a folder of results."""

    results: dict[str, ScoreResult] = field(default_factory=dict)
    """Video id → its result, by id."""
    problems: dict[str, str] = field(default_factory=dict)
    """Name of a file that can't be read → why."""


def read_results(folder: str | os.PathLike[str]) -> ResultsFolder:
    """Read every `<video_id>.json` directly in a folder; JSON files of other kinds are passed over.

    Raises:
        EvaluationError: the folder can't be read, or there is no result in it.
    """
    root = Path(folder)
    try:
        files = sorted(path for path in root.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except OSError as error:
        raise EvaluationError(f"folder {root} can't be read: {error.strerror}") from None
    found = ResultsFolder()
    for path in files:
        try:
            with refusing(EvaluationError, "it"):
                values = read_json(path, allow_nan=True)  # whose it is, is said below
                if isinstance(values, dict) and "clips" in values:
                    found.results[path.stem] = read_score_result(values, path.name)
        except EvaluationError as error:
            found.problems[path.name] = str(error).removeprefix(f"{path.name}: ")
    if not found.results:
        damaged = next((f"; {name}: {problem}" for name, problem in found.problems.items()), "")
        raise EvaluationError(
            f"{root} has no results: it needs the .json files that `amiss detect … --out {root}` writes{damaged}"
        )
    return found
