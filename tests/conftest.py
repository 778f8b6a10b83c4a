"""Fixtures that all tests share."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from helpers import ROOT

pytest_plugins = ["helpers.google", "helpers.mqtt", "helpers.s3"]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # more threads than test workers only wait for each other

# Machines are noisy: a slow example is no failure. CI tries the same examples every time: developers look for new ones.
settings.register_profile("amiss", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("amiss")


LONGEST = (
    "watch/test_service.py",
    "executors/test_ray.py",
    "bench/test_run.py",
    "executors/test_ray_commands.py",
    "training/test_every_recipe.py",
    "executors/test_ray_outside.py",
    "examples/test_examples.py",
    "watch/test_cluster.py",
    "watch/test_calibrate.py",
)
"""Files that take a minute or so each, in an order in which three workers seldom start Ray at once."""


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: many tests wait, for a process, a camera or a server."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or 1.5 * cores)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files go first: begun last, one would keep a worker busy when the others have ended."""
    at = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: at.get(item.path, len(at)))


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled networks of the tests don't go into the user's cache."""
    os.environ["AMISS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _logs_as_before() -> None:
    """What a library does to logs in one test is not what another one finds: levels, and loggers that it disables."""
    logging.disable(logging.NOTSET)
    for name, logger in logging.Logger.manager.loggerDict.items():
        if name.partition(".")[0] == "amiss" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(scope="session", autouse=True)
def _no_power_cut() -> Iterator[None]:
    """None is tested, so nothing in the tests' own process waits until a disk has it: thousands of times 5 ms."""
    with suppress(ImportError):
        from sqlalchemy import event
        from sqlalchemy.pool import Pool

        event.listen(Pool, "connect", _do_not_wait)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def _do_not_wait(connection: Any, record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that scores fast movement high and slow movement low, to be read only."""
    from helpers.motion import make_motion_detector

    return make_motion_detector(tmp_path_factory.mktemp("detector"))


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
