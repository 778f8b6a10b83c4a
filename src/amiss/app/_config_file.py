"""Changes of the configuration from the application: in the file itself, which stays as people wrote it.

The watcher reads a file that has changed by itself. What a change makes of the file is checked before it takes its
place; comments, order and references to secrets stay.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from amiss.errors import ConfigError, UsageError
from amiss.files import atomic_path
from amiss.reading import ReadError, read_text
from amiss.watch import Config, load_config, read_config
from amiss.watch.config import Rule
from amiss.yaml import MAX_LENGTH

_WIDTH = 120


class ConfigFile:
    """A watcher's configuration file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def read(self) -> Config:
        """What it says now.

        Raises:
            ConfigError: it has mistakes.
        """
        return load_config(self.path)

    def set_camera(self, name: str, values: Mapping[str, Any]) -> None:
        """Add a camera, or change these fields of one; in `alarm`, None takes a field out.

        Raises:
            UsageError: the configuration would be wrong. OutputError: the file can't be written.
        """

        def edit(whole: Any) -> None:
            camera = whole.setdefault("cameras", {}).setdefault(name, {})
            for field, value in values.items():
                if isinstance(value, Mapping):
                    part = camera.setdefault(field, {})
                    part.update({key: one for key, one in value.items() if one is not None})
                    for key in [key for key, one in value.items() if one is None]:
                        part.pop(key, None)
                else:
                    camera[field] = _plain(value)

        others = _others(self.read(), name)
        self._change(edit, lambda config: _others(config, name) == others)

    def remove_camera(self, name: str) -> None:
        """Take a camera out; one must be left. Raises: see `set_camera`."""
        self._change(lambda whole: whole["cameras"].pop(name))

    def set_channel(self, name: str, values: Mapping[str, Any]) -> None:
        """Add a channel, or replace one. Raises: see `set_camera`."""

        def edit(whole: Any) -> None:
            whole.setdefault("channels", {})[name] = {field: _plain(value) for field, value in values.items()}

        self._change(edit)

    def remove_channel(self, name: str) -> None:
        """Take a channel out; no rule may name it. Raises: see `set_camera`."""
        self._change(lambda whole: whole["channels"].pop(name))

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Make these all rules: those of the same name are changed where they stand. Raises: see `set_camera`."""

        def edit(whole: Any) -> None:
            stored = whole.get("rules") or []
            wanted = {rule.name: _values(rule) for rule in rules}
            kept = [rule["name"] for rule in stored if rule["name"] in wanted]
            if kept != [name for name in wanted if name in kept] or len(wanted) < len(rules):
                whole["rules"] = [_update({}, _values(rule)) for rule in rules]  # another order, or two of one name
                return
            for i in reversed(range(len(stored))):
                if stored[i]["name"] in wanted:
                    _update(stored[i], wanted.pop(stored[i]["name"]))
                else:
                    del stored[i]
            stored.extend(_update({}, values) for values in wanted.values())
            whole["rules"] = stored

        self._change(edit, lambda config: list(config.rules) == list(rules))

    def _change(self, edit: Callable[[Any], None], is_meant: Callable[[Config], bool] = lambda _: True) -> None:
        yaml = YAML()
        yaml.preserve_quotes = True
        yaml.width = _WIDTH
        yaml.indent(mapping=2, sequence=4, offset=2)
        with self._lock:
            try:
                whole = yaml.load(read_text(self.path, MAX_LENGTH))
            except YAMLError:
                raise ConfigError(f"{self.path} isn't YAML now: see `amiss config check`") from None
            except ReadError as error:
                raise ConfigError(f"{self.path} can't be read: {error}") from None
            edit(whole)
            with atomic_path(self.path) as temporary:
                with temporary.open("w", encoding="utf-8") as file:
                    yaml.dump(whole, file)
                with suppress(OSError):
                    shutil.copymode(self.path, temporary)  # it may be closed to others, for its passwords
                config, problems = read_config(temporary)
                if problems:
                    raise UsageError("; ".join(f"{problem.where}: {problem.message}" for problem in problems[:5]))
                if config is not None and not is_meant(config):
                    raise UsageError(f"{self.path.name} has parts that share their values (&, *): change them there")


def _others(config: Config, name: str) -> dict[str, Any]:
    return {other: camera for other, camera in config.cameras.items() if other != name}


def _values(rule: Rule) -> dict[str, Any]:
    values = rule.model_dump(mode="json").items()
    return {name: [_plain(one) for one in v] if isinstance(v, list) else _plain(v) for name, v in values}


def _update(stored: Any, values: Mapping[str, Any]) -> Any:
    """Make these the values of a rule in the file: what is as it was stays as it was written."""
    for name, value in values.items():
        is_usual = value == Rule.model_fields[name].default
        if name in stored and stored[name] != value:
            if is_usual:
                del stored[name]
            if stored.get(name, value) != value or not is_usual:  # a merge key (<<) may still have it
                stored[name] = value
        elif name not in stored and not is_usual:
            stored[name] = value
    return stored


def _plain(value: Any) -> Any:
    """Text that comes from a browser refers to no secret of this machine."""
    return value.replace("${", "$${") if isinstance(value, str) else value
