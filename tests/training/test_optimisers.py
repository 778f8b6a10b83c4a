"""Optimisers by name, and the salient-features code's RAdam against its trajectory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.errors import UsageError
from amiss.training import OPTIMISERS, make_optimiser
from amiss.training._optimisers import rate_share


def trajectory(name: str, steps: int = 40) -> np.ndarray:
    """(steps, 5) parameters under the loss Σ w p² of golden/salient.npz."""
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0, 0.5, -0.1]))
    optimiser = make_optimiser(name, [p], lr=0.01, eps=1e-8)
    path = []
    for _ in range(steps):
        optimiser.zero_grad()
        (torch.arange(1, 6) * p.square()).sum().backward()
        optimiser.step()
        path.append(p.detach().clone().numpy())
    return np.stack(path)


@pytest.mark.parametrize(("name", "key"), [("radam-rectified-only", "radam_rectified_only"), ("radam", "radam_torch")])
def test_radam_follows_the_golden_trajectory(golden: Path, name: str, key: str) -> None:
    with np.load(golden / "salient.npz") as arrays:
        np.testing.assert_allclose(trajectory(name), arrays[key], rtol=1e-5, atol=1e-7)


def test_the_first_five_steps_of_rectified_only_radam_change_nothing() -> None:
    path = trajectory("radam-rectified-only", 6)
    start = np.array([1.0, -2.0, 3.0, 0.5, -0.1], np.float32)
    assert (path[:5] == start).all()
    assert (path[5] != start).all()


def test_a_restored_optimiser_goes_on_where_it_was() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    first = make_optimiser("radam-rectified-only", [p], lr=0.01)
    for _ in range(5):
        p.grad = torch.ones(2)
        first.step()
    second = make_optimiser("radam-rectified-only", [p], lr=0.01)
    second.load_state_dict(first.state_dict())
    p.grad = torch.ones(2)
    second.step()
    assert (p < 1).all()
    assert second.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_every_optimiser_descends(name: str) -> None:
    path = trajectory(name)
    weights = np.arange(1, 6)
    assert (weights * path[-1] ** 2).sum() < (weights * path[0] ** 2).sum()


@pytest.mark.parametrize(("name", "settings"), [("sgdd", {}), ("adam", {"lr": -1}), ("adam", {"speed": 3})])
def test_wrong_names_and_settings_are_refused(name: str, settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=name):
        make_optimiser(name, [torch.nn.Parameter(torch.ones(1))], **settings)


def test_schedules_fall_as_published() -> None:
    cosine = [rate_share("cosine", step, 50) for step in range(1, 51)]
    p = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([p], lr=1.0)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=60)  # as PEL4VAD has it, 50 epochs of 60
    for share in cosine:
        assert share == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        torchs.step()
    assert [rate_share("stepwise", step, 10) for step in range(1, 11)] == [1.0] * 4 + [0.1] * 4 + [0.01] * 2
    assert rate_share("constant", 7, 10) == 1.0
