"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from helpers import ROOT

pytest_plugins = ["helpers.google", "helpers.mqtt", "helpers.s3"]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a test worker per core: more threads only wait for each other

# Machines are noisy: a slow example is no failure. CI tries the same examples every time: developers look for new ones.
settings.register_profile("amiss", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("amiss")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled networks of the tests don't go into the user's cache."""
    os.environ["AMISS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden numbers and real data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("AMISS_SHARED", ROOT.parent / "shared")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder} (set AMISS_SHARED)")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden arrays that need nobody's weights or data: made by the originals' code, see its README."""
    return ROOT / "tests" / "golden"
