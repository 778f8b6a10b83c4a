"""Versions of a detector, and which one watches.

    state/detectors/promoted.json                  which version stands for which detector of the configuration
    state/detectors/street-1f2e3d4c/street-1/ …    the versions of the detector `street`, with `version.json` in each

The configuration goes on to name the detector that it began with, which is version 0 and never changed. What is
promoted stands in its place for every camera that has it. Promotions are kept as a list, so each can be taken back.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, TypeAdapter

from amiss.detection import check_detector_folder, detector_digest
from amiss.errors import DetectorError, OutputError, UsageError
from amiss.files import lock_file, output_error, write_json
from amiss.reading import check_values, read_json, refusing

_FILE = "version.json"


@dataclass(frozen=True)
class DetectorVersion:
    """A detector, where it comes from, and what it is worth."""

    number: Annotated[int, Field(ge=0)]
    """0 = the configuration's own."""
    made: AwareDatetime | None
    """None for 0."""
    made_from: int | None
    """The version that it was retrained from; None for 0."""
    sha256: str
    """Of its files; events say it of the detector that raised them."""
    by: str
    """Who asked for it; empty for 0."""
    report: dict[str, Any] = field(default_factory=dict)
    """Of the retraining: on what, and how it compares with the one before; empty for 0."""


_VERSION = TypeAdapter(DetectorVersion)


def promotions_file(state: Path) -> Path:
    """What changes with every promotion."""
    return state / "detectors" / "promoted.json"


def promoted_detector(state: Path, detector: Path) -> Path:
    """The folder of the detector that watches where the configuration names this one.

    Raises:
        DetectorError: what is promoted can't be read.
    """
    return Shelf(state, detector).folder_of_promoted()


class Shelf:
    """The versions of one detector of a configuration."""

    def __init__(self, state: Path, detector: Path) -> None:
        self.state, self.detector = state, detector
        path = detector.absolute()
        self.key = hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:8]
        """Tells it from other detectors, also from those whose folders have the same name."""
        self.name = f"{path.name}-{self.key}"
        """Of its folder below `state/detectors`."""

    def versions(self) -> list[DetectorVersion]:
        """All that there are, in order.

        Raises:
            DetectorError: one is damaged.
        """
        own = DetectorVersion(0, None, None, detector_digest(self.detector), "")
        return [own, *(self._read(number) for number in self._numbers())]

    def version(self, number: int) -> DetectorVersion:
        """One of them.

        Raises:
            UsageError: there is none of this number.
        """
        found = next((version for version in self.versions() if version.number == number), None)
        if found is None:
            known = ", ".join(map(str, [0, *self._numbers()]))
            raise UsageError(f"there is no version {number} of {self.detector.name}; there are {known}")
        return found

    def folder(self, number: int) -> Path:
        """Where a version lies."""
        return self.detector if number == 0 else self._root / f"{self._prefix}{number}"

    @property
    def promoted(self) -> int:
        """The version that watches."""
        return (self._promotions().get(self.name) or [0])[-1]

    def folder_of_promoted(self) -> Path:
        """Where the version lies that watches.

        Raises:
            DetectorError: it isn't there.
        """
        number = self.promoted
        folder = self.folder(number)
        if number:
            try:
                check_detector_folder(folder)
            except DetectorError as error:
                raise DetectorError(
                    f"version {number} of {self.detector.name} is promoted, but {error}: take it back with `amiss "
                    "detectors rollback`"
                ) from None
        return folder

    def add(self, detector: Path, report: dict[str, Any], by: str) -> DetectorVersion:
        """Keep a detector as the next version; nothing watches with it yet.

        Raises:
            OutputError: it can't be written.
        """
        with self._alone():
            number = max(self._numbers(), default=0) + 1
            folder = self.folder(number)
            version = DetectorVersion(
                number, datetime.now(UTC), self.promoted, detector_digest(detector), by, report
            )  # fmt: skip
            try:
                folder.mkdir(parents=True)
                for name in ("head.safetensors", "detector.json"):
                    shutil.copyfile(detector / name, folder / name)
            except OSError as error:
                shutil.rmtree(folder, ignore_errors=True)
                raise output_error(folder, error) from error
            write_json(folder / _FILE, _VERSION.dump_python(version, mode="json"))  # last: with it, it is one
        return version

    def promote(self, number: int) -> DetectorVersion:
        """Let a version watch, from the next look at the configuration on.

        Raises:
            UsageError: there is none of this number, or it watches already.
            OutputError: it can't be written.
        """
        version = self.version(number)
        with self._alone():
            if number == self.promoted:
                raise UsageError(f"version {number} of {self.detector.name} is the one that watches")
            promotions = self._promotions()
            promotions[self.name] = [*promotions.get(self.name, []), number]
            write_json(promotions_file(self.state), promotions)
        return version

    def roll_back(self) -> DetectorVersion:
        """Take the last promotion back: what watched before it watches again.

        Raises:
            UsageError: nothing was promoted.
            OutputError: it can't be written.
        """
        with self._alone():
            promotions = self._promotions()
            if not promotions.get(self.name):
                raise UsageError(f"no version of {self.detector.name} was promoted: there is nothing to take back")
            promotions[self.name].pop()
            write_json(promotions_file(self.state), promotions)
        return self.version(self.promoted)

    @property
    def _prefix(self) -> str:
        return f"{self.detector.name}-"

    @property
    def _root(self) -> Path:
        return self.state / "detectors" / self.name

    def _numbers(self) -> list[int]:
        numbers = []
        for path in self._root.glob(f"*/{_FILE}"):
            number = path.parent.name.removeprefix(self._prefix)
            if number.isascii() and number.isdecimal():
                numbers.append(int(number))
        return sorted(numbers)

    def _read(self, number: int) -> DetectorVersion:
        path = self.folder(number) / _FILE
        with refusing(DetectorError, str(path), "is damaged"):
            return check_values(DetectorVersion, read_json(path))

    def _promotions(self) -> dict[str, list[int]]:
        path = promotions_file(self.state)
        if not path.exists():
            return {}
        with refusing(DetectorError, str(path), "is damaged", advice="put it right, or remove it to begin with 0"):
            return TypeAdapter(dict[str, list[int]]).validate_python(read_json(path), strict=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time changes what there is."""
        folder = self.state / "detectors"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with lock_file(folder / ".lock", lambda: None):
                yield
        except OutputError:
            raise
        except OSError as error:
            raise output_error(folder, error) from error


def as_json(version: DetectorVersion) -> dict[str, Any]:
    """Ready for JSON."""
    values: dict[str, Any] = _VERSION.dump_python(version, mode="json")
    return values
