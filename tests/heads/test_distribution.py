"""The distribution head's sound variant: what it learns, fits, scores and saves."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.errors import UsageError
from amiss.heads import create_head
from amiss.heads.distribution import FittedDistributionHead, js_of_samples

LABELS = torch.tensor([0] * 8 + [1] * 8)


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "original-2025"},
        {"variant": "original-2024", "densities": ("beta", "normal")},
        {"variant": "original-2024", "densities": ("kernel", "kernel")},
        {"variant": "original-2024", "mix": 0.5},
        {"density": "poisson"},
        {"density": "geometric"},
        {"variant": "fitted", "spread": 50.0},
        {"mix": 1.5},
        {"separation": -1.0},
        {"gaps": 2},
    ],
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=str(next(reversed(options)))):
        create_head("distribution", 8, **options)


def test_js_of_samples_meets_the_closed_form(golden: Path) -> None:
    with np.load(golden / "distribution_sound.npz") as arrays:
        expected = float(arrays["js_N01_N12"])
    rs = np.random.RandomState(0)
    normal, anomalous = torch.from_numpy(rs.randn(200_000)), torch.from_numpy(1 + 2 * rs.randn(200_000))
    js = js_of_samples(normal, anomalous, torch.tensor([0.0, 1.0]), torch.tensor([1.0, 4.0]))
    assert js.item() == pytest.approx(expected, abs=3e-3)


def long_bags() -> torch.Tensor:
    """Bags in which anomalous clips are longer vectors."""
    x = torch.rand(16, 32, 16)
    x[8:, 10:16] *= 3
    return x


def turned_bags() -> torch.Tensor:
    """Bags in which anomalous clips point elsewhere but are as long as normal ones."""
    x = torch.rand(16, 32, 16) * torch.linspace(0, 2, 16)
    x[8:, 10:16] = x[8:, 10:16].flip(-1)
    return x


def trained(
    steps: int = 30, bags: Callable[[], torch.Tensor] = long_bags, **options: object
) -> tuple[FittedDistributionHead, torch.Tensor]:
    """A head trained on such bags, and bags that it hasn't seen."""
    torch.manual_seed(0)
    head = create_head("distribution", 16, channels=8, dropout=0.1, **options).train()
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-3)
    for _ in range(steps):
        loss = head.loss(head(bags()), LABELS)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
    head.finish()
    return head.eval(), bags()


def test_the_separation_term_drives_the_densities_apart() -> None:
    without, with_it = (trained(40, turned_bags, separation=weight)[0].fit() for weight in (0.0, 1.0))
    assert with_it.divergences.js > without.divergences.js + 0.1


def test_the_separation_term_has_a_gradient_of_its_own() -> None:
    torch.manual_seed(0)
    head = create_head("distribution", 16, channels=8).train()
    head.loss(head(long_bags()), LABELS).terms["separation"].backward()
    assert head.temporal.fuse.conv.weight.grad.abs().max() > 0


def test_the_likelihood_ratio_finds_the_anomalous_clips() -> None:
    head, x = trained(30, mix=1.0)
    scores = head(x).scores
    assert scores[8:, 11:15].mean() > scores[:8].mean() + 0.2
    fitted = head.fit()
    assert 0 < fitted.divergences.js <= math.log(2)
    assert fitted.normal.ks <= 0.1
    assert fitted.anomalous.ks <= 0.1


def test_scores_come_back_from_the_state_dict() -> None:
    head, x = trained()
    unfinished = create_head("distribution", 16, **head.options)
    unfinished.load_state_dict(head.state_dict() | {"stale": torch.tensor(True), "fitted": torch.tensor(False)})
    for saved in (unfinished, head):  # before finish() and after
        again = create_head("distribution", 16, **head.options)
        again.load_state_dict(saved.state_dict())
        assert bool(again.stale) is (saved is unfinished)
        again.finish()
        torch.testing.assert_close(again.eval()(x).scores, head(x).scores)


def test_scoring_before_training_is_finished_is_said() -> None:
    head, x = trained(2)
    head.train()
    head.loss(head(long_bags()), LABELS)
    with pytest.warns(UserWarning, match=r"the classifier scores alone: call finish\(\)"):
        assert "log_ratio" not in head.eval()(x).extras


def test_densities_are_of_magnitudes_as_scoring_sees_them() -> None:
    """While weights change fast, running statistics lag: what training sees lies elsewhere than what scoring sees."""
    torch.manual_seed(0)
    x = long_bags()
    head = FittedDistributionHead(16, channels=8)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(20):
        loss = head.loss(head(x), LABELS).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    head.seen.zero_()  # forget earlier steps
    output = head(x)
    head.loss(output, LABELS)
    remembered = head.samples[0, : int(head.seen)]
    head.finish()
    scored = head.eval()(x).extras["log_magnitude"][:8]
    assert abs(output.extras["log_magnitude"][:8].median() - scored.median()) > 0.1
    for value in remembered:
        assert (scored - value).abs().min() < 1e-5


def test_before_training_the_classifier_scores_alone() -> None:
    head = create_head("distribution", 16, channels=8).eval()
    assert "log_ratio" not in head(torch.rand(2, 5, 16)).extras
    assert head.fit() is None


def test_scoring_works_in_inference_mode_and_training_goes_on() -> None:
    head, x = trained(2)
    with torch.inference_mode():
        head(x)
    head.train()
    head.loss(head(long_bags()), LABELS).total.backward()


def test_a_forced_family_that_does_not_fit_is_said() -> None:
    with pytest.warns(UserWarning, match="cauchy density doesn't fit"):
        head, _ = trained(3, density="cauchy")
    head.samples[0, ::2] += 10
    with pytest.warns(UserWarning, match="cauchy density doesn't fit"):
        head.fit()


def test_equal_samples_are_no_reason_to_fail() -> None:
    head = create_head("distribution", 16, channels=8, dropout=0.0).train()
    head.loss(head(torch.zeros(16, 8, 16)), LABELS)
    head.finish()
    output = head.eval()(torch.zeros(16, 8, 16))
    assert output.scores.isfinite().all()
    assert "log_ratio" not in output.extras
