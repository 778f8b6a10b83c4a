"""LGT against the numbers of VadCLIP's visual branch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.convert import from_reference
from amiss.errors import UsageError
from amiss.heads import create_head
from helpers.reference_weights import crc_checkpoint, golden_bags

LABELS = torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(("case", "lengths"), [("whole", [64] * 4), ("short", [64, 13, 40, 1])])
def test_logits_and_loss_are_the_originals(golden: Path, case: str, lengths: list[int]) -> None:
    head = from_reference("lgt", crc_checkpoint(golden, "lgt_32"))
    assert (head.options["channels"], head.options["chunk"]) == (32, 64)
    mask = torch.arange(64) < torch.tensor(lengths)[:, None]
    with np.load(golden / "lgt.npz") as arrays, torch.inference_mode():
        output = head(golden_bags(0, (4, 64, 32)), mask)
        real = mask.numpy()
        np.testing.assert_allclose(output.logits[mask], arrays[f"{case}_logits"][real], rtol=1e-4, atol=1e-4)
        term = head.loss(output, LABELS).terms["classification"]
        assert term.item() == pytest.approx(arrays[f"{case}_classification"].item(), rel=1e-4)


def test_alignment_and_its_losses_are_the_originals(golden: Path) -> None:
    state = crc_checkpoint(golden, "lgt_32")
    plain = from_reference("lgt", state)
    options = {**plain.options, "classes": list("abcd"), "contrast": 0.1 * 4 / 13}  # the original divides by 13
    head = create_head("lgt", 32, **options).eval()
    head.load_state_dict(plain.state_dict(), strict=False)
    head.alignment.feed_forward.load_state_dict(
        {f"{ours}.{part}": state[f"mlp1.{theirs}.{part}"]
         for ours, theirs in (("fc1", "c_fc"), ("fc2", "c_proj")) for part in ("weight", "bias")}
    )  # fmt: skip
    texts = np.random.RandomState(1).standard_normal((5, 32))
    head.alignment.classes.take(dict(zip(("normal", *"abcd"), texts, strict=True)))
    with np.load(golden / "lgt.npz") as arrays, torch.inference_mode():
        output = head(golden_bags(0, (4, 64, 32)))
        np.testing.assert_allclose(output.extras["class_logits"], arrays["whole_alignment"], rtol=1e-3, atol=1e-4)
        terms = head.loss(output, torch.tensor([0, 0, 3, 1])).terms
        for name in ("classification", "classes"):
            assert terms[name].item() == pytest.approx(arrays[f"whole_{name}"].item(), rel=1e-4)
        assert terms["contrast"].item() == pytest.approx(arrays["contrast"].item(), rel=1e-4)


def test_scores_of_the_alignment_are_of_any_class_but_normal() -> None:
    torch.manual_seed(0)
    head = create_head("lgt", 6, channels=8, classes=["fire", "fight"], scores="alignment").eval()
    output = head(torch.randn(2, 5, 6))
    torch.testing.assert_close(output.scores, 1 - output.extras["class_logits"].softmax(dim=2)[..., 0])
    with pytest.raises(UsageError, match="no classes to align with"):
        create_head("lgt", 6, scores="alignment")


def test_a_chunk_is_read_by_itself() -> None:
    torch.manual_seed(0)
    head, x = create_head("lgt", 6, channels=8, chunk=16, window=4).eval(), torch.randn(1, 40, 6)
    scores = head(x).scores[0]
    for start in (0, 16, 32):
        torch.testing.assert_close(head(x[:, start : start + 16]).scores[0], scores[start : start + 16])


def test_features_of_its_own_size_are_not_projected() -> None:
    with torch.device("meta"):
        assert not list(create_head("lgt", 512).projection.parameters())
        assert create_head("lgt", 100).projection.weight.shape == (512, 100)


def test_chunks_consist_of_blocks() -> None:
    with pytest.raises(UsageError, match="chunk is 20 and window 8"):
        create_head("lgt", 6, chunk=20)
