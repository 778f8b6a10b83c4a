"""The registry that heads, backbones, layouts and others share."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amiss.errors import UsageError
from amiss.registry import Registry, closest, did_you_mean
from helpers.plugins import install_plugin

GROUP = "amiss.tests"
TABLE = {"pi": "math:pi", "e": "math:e", "one": 1.0}


def constants(**options: Any) -> Registry[float]:
    return Registry("constant", TABLE, group=GROUP, entry_type=float, **options)


def test_things_and_where_they_are() -> None:
    found = constants()
    assert found.names() == ["pi", "e", "one"]
    assert found["one"] == 1.0
    assert dict(found.items())["pi"] == pytest.approx(3.14159, abs=1e-5)
    assert "pi" in found
    assert "tau" not in found


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = """
import sys
from amiss.registry import Registry
found = Registry("page", {"this": "antigravity:fly_id"})
assert "antigravity" not in sys.modules and "this" in found and found.names() == ["this"]
late = Registry("page", lambda: {"late": sys.exit("asked for too early")})
"""
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match=r"^unknown constant 'PIE'\. Did you mean 'pi'\? Known are \['pi', 'e', 'on"):
        constants()["PIE"]
    with pytest.raises(UsageError, match=r"^unknown constant 'x'\. Known are"):
        constants()["x"]
    with pytest.raises(UsageError, match=r"^unknown constant 'x'\. `amiss constants` lists them$"):
        constants(listed_by="amiss constants")["x"]
    with pytest.raises(UsageError, match=r"^unknown constant 'on'\. Did you mean 'one'\?$"):
        constants(listed_by="amiss constants")["on"]


def test_names_that_may_be_meant() -> None:
    assert closest("R3D-18", ["r3d_18", "mc3_18"])[0] == "r3d_18"
    assert closest("vit", ["vit_b_16_of_clip", "swin"]) == ["vit_b_16_of_clip"]
    assert did_you_mean("zzz", ["pi"]) == ""


def test_other_packages_add_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_plugin(monkeypatch, tmp_path, GROUP, "tau", "plugin_of_tau:TAU", "TAU = 6.28\n")
    assert constants().names() == ["pi", "e", "one", "tau"]
    assert constants()["tau"] == 6.28
    assert "tau" in constants()
    assert "tau" not in Registry("constant", TABLE)


def test_a_built_in_name_is_not_taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_plugin(monkeypatch, tmp_path, GROUP, "one", "plugin_of_one:ONE", "ONE = 2.0\n")
    assert constants().names() == ["pi", "e", "one"]
    assert constants()["one"] == 1.0


def test_a_package_that_does_not_load_disables_only_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_plugin(monkeypatch, tmp_path, GROUP, "odd", "no_such_module:x")
    with pytest.raises(UsageError, match=r"constant 'odd' of entry point no_such_module:x doesn't load \(ModuleNotF"):
        constants()["odd"]
    with pytest.warns(UserWarning, match=r"doesn't load .*It is left out"):
        assert [name for name, _ in constants().items()] == ["pi", "e", "one"]


def test_a_package_that_gives_another_thing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_plugin(monkeypatch, tmp_path, GROUP, "odd", "math:floor")
    with pytest.raises(UsageError, match=r"entry point 'odd' of amiss\.tests is .*floor.*, not a float"):
        constants()["odd"]
