"""Whatever stands in the place of a configuration: one line, soon, with little memory."""

from __future__ import annotations

import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from amiss.cli import app
from amiss.errors import ConfigError
from amiss.watch import Config, read_config
from amiss.yaml import write_yaml
from helpers.bad_configs import NAMES, put


@pytest.mark.parametrize("name", NAMES)
def test_a_start_with_it_is_one_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / "watch.yaml"
    says = put(name, file)
    began = time.process_time()
    for command in (["watch", str(file)], ["config", "check", str(file)]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 1, result.output
        assert isinstance(result.exception, SystemExit)
        lines = result.stderr.splitlines()
        assert all(line.startswith("error: ") for line in lines)
        if command[0] == "watch":
            assert len(lines) == 1
            assert says in lines[0]
            assert len(lines[0]) < 10_000
    assert time.process_time() - began < 5


def test_little_memory_is_needed(tmp_path: Path) -> None:
    for name in ("aliases of aliases", "merges of merges", "large", "secret of a device", "unknown fields"):
        file = tmp_path / "watch.yaml"
        put(name, file)
        tracemalloc.start()
        try:
            with suppress(ConfigError):
                read_config(file)
            assert tracemalloc.get_traced_memory()[1] < 100e6, name
        finally:
            tracemalloc.stop()


names = st.sampled_from(
    [*Config.model_fields, "url", "alarm", "on", "kind", "port", "base_url", "host", "hours", "path", "<<", "x"]
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
addresses = st.sampled_from(
    ["rtsp://h/", "replay:x", "folder:", "device:0", "mailto://a:b@c", "http://[", "log", "webhook", "${x}", "${file:}"]
)
values: Any = st.recursive(
    plain | addresses,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, values, max_size=6))
def test_any_values_are_a_configuration_or_mistakes(tmp_path: Path, given: dict[str, Any]) -> None:
    file = tmp_path / "watch.yaml"
    with suppress(UnicodeEncodeError):  # halves of characters can't be written
        file.write_text(write_yaml(given))
        config, problems = read_config(file)
        assert (config is None) == bool(problems)
        assert all(str(problem).isprintable() for problem in problems)
