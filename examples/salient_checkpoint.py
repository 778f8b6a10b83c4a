"""A published checkpoint of github.com/sakurada-cnq/salient_feature_anomaly, converted: the same scores, and a figure.

Without a checkpoint a small one is made up, in the original's names and shapes, and so are features in RTFM's layout.
Either way the scores are computed a second time, straight from the checkpoint's tensors by the equations of the paper
(Watanabe et al., ICIP 2022), and compared.

    python examples/salient_checkpoint.py --out results
    python examples/salient_checkpoint.py --checkpoint SelfAttention-da64-r3-T32-seed9111.pth \
        --features UCF-Test --video Abuse028_x264 --events 165-240 --out results
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.evaluation import figure_png, plot_score_curve
from amiss.features import import_features, open_feature_set
from amiss.jobs import convert_checkpoint
from amiss.video import FrameTimes

CHUNK = 28  # the README's --test-split-size
FPS = 30.0


def made_checkpoint(path: Path) -> Path:
    """64 x 3 attention on 2048 numbers, as published, with random values."""
    rng = np.random.default_rng(0)
    shapes = {"self_anttention.0": (64, 2048), "self_anttention.2": (3, 64), "fc1": (32, 3 * 2048), "fc2": (1, 32)}
    tensors = {}
    for name, (rows, columns) in shapes.items():
        tensors[f"{name}.weight"] = torch.tensor(rng.normal(0, 2 / columns**0.5, (rows, columns)), dtype=torch.float32)
        tensors[f"{name}.bias"] = torch.zeros(rows)
    torch.save(tensors, path)
    return path


def made_features(folder: Path) -> Path:
    """One video of 70 clips and ten crops, as RTFM's authors publish them; 15 of its clips stand out."""
    folder.mkdir(exist_ok=True)
    rows = 0.3 * np.abs(np.random.default_rng(1).normal(size=(70, 10, 2048)))
    rows[30:45] *= 2
    np.save(folder / "made_i3d.npy", rows.astype(np.float32))
    return folder


def by_the_equations(checkpoint: Path, x_TCD: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores [T]: each chunk of clips is a bag; the mean over crops of its score stands for all its clips."""
    tensors = torch.load(checkpoint, weights_only=True)
    w = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    scores = np.empty(len(x_TCD))
    for start in range(0, len(x_TCD), CHUNK):
        of_crops = []
        for x_TD in x_TCD[start : start + CHUNK].transpose(1, 0, 2).astype(float):
            hidden = np.tanh(x_TD @ w["self_anttention.0.weight"].T + w["self_anttention.0.bias"])
            exponents = np.exp(hidden @ w["self_anttention.2.weight"].T + w["self_anttention.2.bias"])
            salient_DR = x_TD.T @ (exponents / exponents.sum(axis=0))
            logit = w["fc2.weight"] @ (w["fc1.weight"] @ salient_DR.ravel() + w["fc1.bias"]) + w["fc2.bias"]
            of_crops.append(1 / (1 + np.exp(-logit[0])))
        scores[start : start + CHUNK] = np.mean(of_crops)
    return scores


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="of the project; left out: made up")
    parser.add_argument("--features", type=Path, help="folder in RTFM's layout; left out: made up")
    parser.add_argument("--video", default="made", help="whose scores are drawn")
    parser.add_argument("--events", default="480-720", help="its anomalous frames, as in a manifest")
    parser.add_argument("--out", type=Path, default=Path("salient-checkpoint"))
    asked = parser.parse_args()
    out = asked.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = asked.checkpoint or made_checkpoint(out / "made.pth")

    # Import the features, and convert the checkpoint: none of the original's code is needed.
    import_features(asked.features or made_features(out / "made"), out / "features", layout="rtfm")
    detector = convert_checkpoint(checkpoint, "salient", out / "detector", like=out / "features").detector
    rows = open_feature_set(out / "features").load(asked.video)
    result = detector.result_of(asked.video, rows, FrameTimes(n_frames=16 * len(rows), fps=FPS))

    # The same scores from the equations.
    scores = np.array([clip.score for clip in result.clips])
    expected = by_the_equations(checkpoint, np.asarray(rows))
    print(f"{asked.video}: {len(scores)} clips, scores of its chunks {np.round(scores[::CHUNK], 6).tolist()}")
    print(f"largest difference from the equations: {np.abs(scores - expected).max():.1e}")

    # Draw them, with what is really anomalous.
    truth = [(int(start), int(end)) for start, end in (event.split("-") for event in asked.events.split(";"))]
    spans = [(clip.start, clip.end) for clip in result.clips]
    figure = plot_score_curve(spans, scores, result.times, truth=truth, threshold=result.threshold, title=asked.video)
    (out / "scores.png").write_bytes(figure_png(figure))
    print(f"{out / 'scores.png'}")


if __name__ == "__main__":
    main()
