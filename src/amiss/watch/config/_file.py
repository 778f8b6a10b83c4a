"""Reading a watcher's configuration: YAML with line numbers, secrets from elsewhere, every mistake told at once.

The file may be anything: whatever is wrong with it is a ConfigError, found soon and with little memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from amiss.errors import ConfigError
from amiss.reading import ReadError, check_file, read_text, shown
from amiss.settings import hint, problems_of
from amiss.video import redact
from amiss.watch.config._camera import CameraSettings, with_defaults
from amiss.watch.config._channels import CHANNEL_KINDS, LogSettings
from amiss.watch.config._config import Config, TeachSettings
from amiss.yaml import MAX_LENGTH, Where, YamlMistake, is_fit, read_yaml

_MAX_SECRET = 64 * 1024  # bytes of a secret's file
_MAX_TEXT = 4096  # characters of a value
_MAX_SHOWN = 500  # characters of a value or message that are shown; cut, they might show what would be hidden whole
_MAX_PROBLEMS = 50  # that are told
_SECRET = re.compile(r"\$\$\{|\$\{(?:file:([^}]+)|([A-Za-z_]\w*))\}")
_USER_INFO = re.compile(r"[^\s/'\"]+:(?!//)[^\s'\"]*@")  # user:password@, where no scheme says that it is an address
_QUOTED = re.compile(r"(['\"])((?:(?!\1).)*@(?:(?!\1).)*)\1")  # a value with an @, whatever else is in it


@dataclass(frozen=True, order=True)
class ConfigProblem:
    """A mistake in a configuration file."""

    line: int
    """1-based; 1 where something is missing from the file as a whole."""
    where: str
    """The field, such as `cameras.door.url`."""
    message: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.where}: {self.message}" if self.where else f"line {self.line}: {self.message}"


@dataclass
class _Read:
    """A file on its way to a Config."""

    lines: dict[Where, int] = field(default_factory=dict)
    secret: set[Where] = field(default_factory=set)
    """Fields into which a secret was put: their values are never shown."""
    problems: list[ConfigProblem] = field(default_factory=list)

    def line(self, where: Sequence[str | int]) -> int:
        """The line of a field, or of the nearest thing around it that the file has."""
        for end in range(len(where), -1, -1):
            if (line := self.lines.get(tuple(where[:end]))) is not None:
                return line
        return 1

    def blame(self, where: Sequence[str | int], message: str) -> None:
        known = [part for i, part in enumerate(where) if i == 0 or not self._is_tag(where, i)]
        place = ".".join(shown(_shown(str(part)), quoted=False) for part in known)
        self.problems.append(ConfigProblem(self.line(known), place, _cleaned(message)))

    def _is_tag(self, where: Sequence[str | int], i: int) -> bool:
        """pydantic puts the kind of a channel, and `[key]`, into its locations; the file has no such level."""
        return where[i] == "[key]" or (where[0] == "channels" and i == 2 and where[i] in CHANNEL_KINDS)

    def fill(self, value: Any, where: Where = ()) -> Any:
        """The value with secrets put in; notes which are missing, and what is no text that anything here takes."""
        if isinstance(value, dict):
            for key in value:
                if len(key) > _MAX_TEXT:
                    self.blame(where, f"a field's name has {len(key)} characters")
            return {key: self.fill(child, (*where, key)) for key, child in value.items()}
        if isinstance(value, list):
            return [self.fill(child, (*where, i)) for i, child in enumerate(value)]
        if not isinstance(value, str):
            return value
        filled = self._with_secrets(value, where)
        if not is_fit(filled):
            self.blame(where, "a secret in it has a character that nothing here takes, such as NUL")
        elif len(filled) > _MAX_TEXT:
            self.blame(where, f"is a text of {len(filled)} characters; at most {_MAX_TEXT} are taken")
        return filled

    def _with_secrets(self, text: str, where: Where) -> str:
        def secret(match: re.Match[str]) -> str:
            file, variable = match.groups()
            if file is not None:
                try:
                    return read_text(Path(file).expanduser(), _MAX_SECRET).strip()
                except (ReadError, RuntimeError) as error:  # the latter: no such user's home
                    self.blame(where, f"the secret's file {_shown(file)} can't be read: {error}")
            elif variable is not None:
                if variable in os.environ:
                    return os.environ[variable]
                self.blame(where, f"the environment has no variable {variable}; set it, or write $${{ for a plain ${{")
            return "${"

        filled = _SECRET.sub(secret, text)
        if filled != text:
            self.secret.add(where)
        return filled


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read a configuration: secrets put in, paths made absolute, every camera complete with what `defaults` say.

    A string may contain `${NAME}` (a variable of the environment) and `${file:/path}` (a file's text); `$${` is a
    plain `${`.

    Raises:
        ConfigError: names every mistake with its line; no secret stands in the message.
    """
    config, problems = read_config(path)
    if config is None:
        n = len(problems)
        mistakes = "a mistake" if n == 1 else f"{n} mistakes" if n <= _MAX_PROBLEMS else "many mistakes"
        raise ConfigError(f"{os.fspath(path)} has {mistakes}: {'; '.join(map(str, problems))}")
    return config


def read_config(path: str | os.PathLike[str]) -> tuple[Config | None, list[ConfigProblem]]:
    """The configuration, or None and the mistakes in it (of many the first ones), in the order of their lines.

    Raises:
        ConfigError: the file can't be read at all.
    """
    file = Path(path)
    try:
        text = read_text(file, MAX_LENGTH)
    except ReadError as error:
        raise ConfigError(f"{file} can't be read: {error}") from None
    read = _Read()
    try:
        config = _validated(text, read, file.resolve().parent)
    except Exception as error:  # of whatever it is; its text may hold a secret
        raise ConfigError(f"{file} can't be understood: {type(error).__name__} in what checks it") from error
    problems = sorted(set(read.problems))
    if len(problems) > _MAX_PROBLEMS:
        problems[_MAX_PROBLEMS:] = [ConfigProblem(problems[_MAX_PROBLEMS].line, "", "and more mistakes from here on")]
    return (None if problems else config), problems


def _validated(text: str, read: _Read, folder: Path) -> Config | None:
    try:
        values, read.lines = read_yaml(text)
    except YamlMistake as error:
        message = error.message
        if message.startswith("not YAML"):  # in quotes may stand a password that begins with * or !, without quotes
            message = re.sub(r"'[^']{2,}'", "'***'", message)
        read.problems.append(ConfigProblem(error.line, "", _cleaned(message)))
        return None
    values = {} if values is None else read.fill(values)
    if read.problems:
        return None
    if not isinstance(values, dict):
        read.blame((), "a configuration is a mapping of fields, such as `cameras:`")
        return None
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        _blame_all(error, (), read)
        return None
    cameras = {}
    for name, camera in config.cameras.items():
        try:
            cameras[name] = _with_absolute_paths(with_defaults(camera, config.defaults), config, folder)
        except ValidationError as error:
            _blame_all(error, ("cameras", name), read)
            cameras[name] = camera
    config = config.model_copy(
        update={
            "cameras": cameras,
            "database": SecretStr(_absolute_database(config.database.get_secret_value(), folder)),
            "media": folder / config.media,
            "state": folder / config.state,
            "search": config.search.model_copy(
                update={"clip": folder / config.search.clip} if config.search.clip is not None else {}
            ),
            "teach": _teach_with_absolute_paths(config.teach, folder),
            "http": config.http.model_copy(
                update={
                    name: folder / path
                    for name in ("tls_certificate", "tls_key")
                    if (path := getattr(config.http, name)) is not None
                }
            ),
            "channels": {
                name: channel.model_copy(update={"path": folder / channel.path})
                if isinstance(channel, LogSettings)
                else channel
                for name, channel in config.channels.items()
            },
        }
    )
    _check_references(config, read)
    return config


def _with_absolute_paths(camera: CameraSettings, config: Config, folder: Path) -> CameraSettings:
    own = camera.detector is not None
    detector, weights = (camera.detector, camera.weights) if own else (config.detector, config.weights)
    url = camera.url.get_secret_value()
    for scheme in ("replay:", "folder:"):
        if url.startswith(scheme):
            url = scheme + str(folder / url.removeprefix(scheme))
    return camera.model_copy(
        update={
            "url": SecretStr(url),
            "detector": None if detector is None else folder / detector,
            "weights": None if weights is None else folder / weights,
        }
    )


def _teach_with_absolute_paths(teach: TeachSettings, folder: Path) -> TeachSettings:
    paths = {name: folder / path for name in ("data", "features") if (path := getattr(teach, name)) is not None}
    return teach.model_copy(update={**paths, "plain": tuple(folder / path for path in teach.plain)})


def _absolute_database(url: str, folder: Path) -> str:
    prefix, separator, file = url.partition(":///")
    if not prefix.startswith("sqlite") or not separator or not file or file.startswith(("/", ":", "file:")):
        return url
    return f"{prefix}:///{folder / file}"


def _check_references(config: Config, read: _Read) -> None:
    for name, camera in config.cameras.items():
        where: Where = ("cameras", name, "detector")
        own = where in read.lines
        if camera.detector is None:
            read.blame(where[:2], "has no detector: give it one, or a common `detector:` for all")
        elif problem := _detector_problem(camera.detector):
            read.blame(where if own else ("detector",), f"{_shown(str(camera.detector))} {problem}")
    seen: dict[str, int] = {}
    for i, rule in enumerate(config.rules):
        if seen.setdefault(rule.name, i) != i:
            read.blame(("rules", i, "name"), f"{rule.name!r} is the name of another rule; their cooldowns would mix")
        for kind, names, known in (
            ("channel", rule.channels, config.channels),
            ("camera", rule.cameras or [], config.cameras),
        ):
            for j, name in enumerate(names):
                if name not in known:
                    read.blame(("rules", i, f"{kind}s", j), f"there is no {kind} {name!r}{hint(name, known)}")


def _detector_problem(folder: Path) -> str:
    """Which of its files this user can't read, and why; empty = none."""
    for name in ("detector.json", "head.safetensors"):
        try:
            with check_file(folder / name).open("rb") as file:
                file.read(1)
        except ReadError as error:
            if error.is_missing:
                return f"is not a detector: {name} is missing in it"
            return f"can't be read as a detector: {error}: {name}"
        except OSError as error:
            return f"can't be read as a detector: {error.strerror}: {name}"
    return ""


def _cleaned(message: str) -> str:
    """A message without what may be a password in it."""
    if len(message) > _MAX_SHOWN:
        return "has a value that makes no sense there, and is too long to be shown"
    message = _QUOTED.sub(lambda quoted: f"{quoted[1]}{_shown(quoted[2])}{quoted[1]}", redact(message))
    return shown(_USER_INFO.sub("***@", message), quoted=False, most=2 * _MAX_SHOWN)


def _shown(value: str) -> str:
    """A value of the file as it may be shown: nothing of what stands before an @, whatever its form."""
    if len(value) > _MAX_SHOWN:
        return f"({len(value)} characters)"
    before, at, after = redact(value).rpartition("@")
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", before)
    return f"{scheme[0] if scheme else ''}***@{after}" if at else after


def _blame_all(error: ValidationError, inside: Where, read: _Read) -> None:
    for found in islice(problems_of(error, Config if not inside else CameraSettings), _MAX_PROBLEMS + 1):
        where = (*inside, *found.where)
        message = found.message
        is_address = where[0] == "cameras" and where[-1] == "url"  # what of it is secret can be told
        if where == ("cameras",) and found.kind == "missing":
            message = "is missing, the cameras to watch"
        elif where[-1] == "[key]":
            message = "names are letters, digits, '_', '.' and '-', at most 64"
        elif found.kind.startswith("union_tag"):
            message = f"`kind` must be one of {', '.join(CHANNEL_KINDS)}"
        elif found.value is not None and where not in read.secret and (is_address or not found.is_secret):
            value = found.value
            message = f"is {_shown(value) if isinstance(value, str) else value!r}; {message}"
        read.blame(where, message)
