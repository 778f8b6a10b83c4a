"""The public names of every package, so that none is lost or added by accident."""

import importlib

import pytest

import amiss

PACKAGES = ("app", "app.accounts", "app.security",
            "backbones", "backbones.weights", "bench", "convert", "datasets", "demo", "detection", "engines",
            "evaluation", "executors", "features", "heads", "jobs", "pages", "reading", "results", "storage",
            "training", "video", "watch", "watch.alerts", "watch.camera", "watch.config", "watch.http", "watch.store",
            "watch.teach")  # fmt: skip


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_what_can_be_imported(package: str) -> None:
    module = importlib.import_module(f"amiss.{package}")
    assert sorted(module.__all__) == list(dict.fromkeys(sorted(module.__all__)))
    assert all(hasattr(module, name) for name in module.__all__)
    public = {n for n, value in vars(module).items() if not n.startswith("_") and getattr(value, "__name__", n) == n}
    strangers = {n for n in public - set(module.__all__) if not isinstance(getattr(module, n), type(importlib))}
    assert not strangers


def test_top_level_names() -> None:
    assert sorted(amiss.__all__) == ["Detector", "__version__", "convert", "create_backbone", "create_head"]
    assert all(getattr(amiss, name) is not None for name in amiss.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = amiss.nothing
