"""TCA against the original's numbers, and what its causal variant sees."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.convert import from_reference
from amiss.errors import UsageError
from amiss.heads import create_head
from helpers.reference_weights import crc_checkpoint, crc_values, golden_bags

LABELS = torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(("data", "kind", "kernel"), [("ucf", "tca", 9), ("xd", "tca-xd", 3)])
def test_scores_features_and_loss_are_the_originals(golden: Path, data: str, kind: str, kernel: int) -> None:
    state = crc_checkpoint(golden, "tca_64")
    state["classifier.weight"] = crc_values("classifier.weight", [1, 300, kernel])
    head = from_reference(kind, state)
    with np.load(golden / "tca.npz") as arrays, torch.inference_mode():
        output = head(golden_bags(0, (4, 40, 64)))
        np.testing.assert_allclose(output.scores, arrays[f"{data}_scores"], rtol=1e-4)
        features = output.extras["features"][..., :8].transpose(1, 2)
        np.testing.assert_allclose(features, arrays[f"{data}_features"], rtol=1e-3, atol=1e-4)
        term = head.loss(output, LABELS).terms["classification"]
        assert term.item() == pytest.approx(arrays[f"{data}_classification"].item(), rel=1e-4)


@pytest.mark.parametrize(("data", "kind", "kernel"), [("ucf", "tca", 9), ("xd", "tca-xd", 3)])
def test_prompt_term_is_the_originals(golden: Path, data: str, kind: str, kernel: int) -> None:
    """Texts of 32 numbers, as the features after the first layer have here."""
    state = crc_checkpoint(golden, "tca_64")
    state["classifier.weight"] = crc_values("classifier.weight", [1, 300, kernel])
    plain = from_reference(kind, state)
    head = create_head("tca", 64, **{**plain.options, "classes": ["a", "b", "c"]}).eval()
    head.load_state_dict(plain.state_dict(), strict=False)
    head.prompt.logit_scale.data = state["logit_scale"]
    texts = np.random.RandomState(1).standard_normal((4, 32))
    head.prompt.classes.take(dict(zip(("normal", "a", "b", "c"), texts, strict=True)))
    with np.load(golden / "tca.npz") as arrays:
        terms = head.loss(head(golden_bags(0, (4, 40, 64))), torch.tensor([0, 0, 1, 3])).terms
        assert terms["prompt"].item() == pytest.approx(arrays[f"{data}_prompt"].item(), rel=1e-4)


def test_parameters_are_as_published() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in create_head("tca", 1024).parameters())
    assert round(count / 1e6, 2) == 1.21


@pytest.mark.parametrize(("normalise", "reach", "window"), [("features", 4, 2), ("none", 1, 4)])
def test_causal_scores_depend_on_the_clips_that_the_head_says(normalise: str, reach: int, window: int) -> None:
    torch.manual_seed(0)
    options = {"causal": True, "reach": reach, "window": window, "kernel": 3, "normalise": normalise}
    head = create_head("tca", 6, **options).eval()
    assert head.context == 6
    x = torch.randn(1, 20, 6)
    scores = head(x).scores[0]
    for clip in range(20):
        changed = x.clone()
        changed[0, clip] += 5
        moved = (head(changed).scores[0] - scores).abs() > 1e-6
        assert not moved[:clip].any()
        assert not moved[clip + 6 :].any()
        assert moved[clip]


def test_causal_and_normalised_over_time_do_not_go_together() -> None:
    with pytest.raises(UsageError, match="which looks ahead"):
        create_head("tca", 4, causal=True, normalise="time")


def test_clips_that_attend_in_parts_attend_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head, x = create_head("tca", 6).eval(), torch.randn(2, 23, 6)
    at_once = head(x).scores
    monkeypatch.setattr("amiss.heads.tca._QUERIES", 5)
    torch.testing.assert_close(head(x).scores, at_once)
