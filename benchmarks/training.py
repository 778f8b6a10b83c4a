"""How fast training is: amiss' loop, the loop of the field's code bases, and the head alone, on the same data.

    python benchmarks/training.py [--out DIR] [--recipe NAME] [--rounds N] [--steps N] [--threads N]
    python benchmarks/training.py --rtfm [--bags 32] [--dim 2048]

The straightforward loop is a PyTorch Dataset that loads, pools and normalises a video's .npy file per item, and two
DataLoaders without workers, for 30 normal and 30 anomalous bags per step. `head` repeats forward, loss, backward and
optimiser step on one batch in memory: no loop can be faster. The three take turns, `--steps` steps each; figures are
medians over rounds, with the smallest and largest. Features are random numbers in files of real sizes, in the page
cache. Writes `DIR/training.json` and `.md`.

`--rtfm` is RTFM at its published size: 10 crops x 32 segments x 2048 numbers, 32 + 32 bags, without the straightforward
loop. All run on a GPU where there is one, and a round ends when it has done its work.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from amiss.backbones import FeatureSpec
from amiss.datasets import Video
from amiss.detection import Normalisation
from amiss.features import FeatureSet, FeatureSetWriter, open_feature_set, pool
from amiss.files import write_json, write_text
from amiss.heads import Head, create_head
from amiss.training import Recipe, fit_normalisation, load_bags, load_recipe, make_optimiser, resolve_recipe
from amiss.training._loop import TrainingLoop
from amiss.training._run_folder import RunFolder

VIDEOS = 60  # per class


@dataclass(frozen=True)
class Data:
    """Sizes of a data set."""

    what: str
    dim: int
    segments: int | None = None
    crops: int = 1
    clips: int = 0
    """Median length where rows are clips; UCF-Crime's training videos have 142 (median) and 530 (mean) clips."""


DATA = (
    Data("32 segments, 4096 (C3D)", 4096, segments=32),
    Data("clips, 2048 (I3D-ResNet50)", 2048, clips=142),
    Data("clips, 512 (R3D-18)", 512, clips=142),
)


def make_features(data: Data, folder: Path) -> tuple[FeatureSet, list[Video]]:
    """Random features with lengths spread as UCF-Crime's."""
    rng = np.random.default_rng(0)
    spec = FeatureSpec(backbone="made-up", weights="none", dim=data.dim, segments=data.segments, crops=data.crops)
    writer = FeatureSetWriter(folder, spec)
    videos = []
    for i in range(2 * VIDEOS):
        length = data.segments or int(np.clip(data.clips * rng.lognormal(0, 1.2), 8, 3000))
        rows = rng.random((length, data.crops, data.dim), dtype=np.float32)
        writer.add(f"v{i}", rows, 16 * length, 30.0)
        videos.append(Video(video_id=f"v{i}", split="train", label=i % 2))
    return open_feature_set(folder), videos


class PerItem(Dataset[Tensor]):
    """Loads, pools and normalises when a video is asked for."""

    def __init__(self, recipe: Recipe, files: list[Path], normalisation: Normalisation) -> None:
        self.recipe, self.files, self.normalisation = recipe, files, normalisation

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        rows = pool(np.load(self.files[index]), self.recipe.pooling, self.recipe.segments)
        return torch.from_numpy(self.normalisation.apply(rows)[:, 0])


def straightforward(
    recipe: Recipe, head: Head, features: FeatureSet, videos: list[Video], normalisation: Normalisation
) -> Callable[[int], None]:
    """A function that trains for n steps."""
    loaders = []
    for label, size in ((0, recipe.batch.normal), (1, recipe.batch.anomalous)):
        files = [features.folder / f"{v.video_id}.npy" for v in videos if v.label == label]
        loaders.append(DataLoader(PerItem(recipe, files, normalisation), size, shuffle=True, drop_last=True))
    labels = torch.tensor([0] * recipe.batch.normal + [1] * recipe.batch.anomalous)
    step = optimisation(recipe, head)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from zip(*loaders, strict=False)

    endless = batches()

    def train(steps: int) -> None:
        for _ in range(steps):
            step(torch.cat(next(endless)), labels)

    return train


def optimisation(recipe: Recipe, head: Head, crops: int = 1) -> Callable[[Tensor, Tensor], None]:
    """Forward, loss, backward and optimiser step on a batch."""
    settings = recipe.optimiser.model_dump(exclude={"largest_gradient", "schedule"})
    optimiser = make_optimiser(settings.pop("name"), head.parameters(), **settings)

    def step(x_BTD: Tensor, labels: Tensor) -> None:
        loss = head.loss(head(x_BTD), labels, crops=crops).total
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def measure(recipe: Recipe, data: Data, rounds: int, steps: int) -> dict[str, list[float]]:
    """Iterations per second of each rival, per round."""
    with tempfile.TemporaryDirectory(prefix="amiss-benchmark-") as root:
        features, videos = make_features(data, Path(root) / "features")
        recipe = resolve_recipe(recipe, features)
        settled = {"steps": steps * (rounds + 1), "evaluate_every": steps}
        recipe = recipe.model_copy(update=settled)
        normalisation = fit_normalisation(recipe, videos, features)
        torch.manual_seed(0)
        heads = [create_head(recipe.head, data.dim, **recipe.head_options).train() for _ in range(3)]
        bags = load_bags(recipe, videos, features, normalisation)
        loop = TrainingLoop(recipe, heads[0], bags, load_bags(recipe, [], features, normalisation), seed=0)
        x_BTD, _, labels = bags.batch([*loop.normal[: recipe.batch.normal], *loop.anomalous[: recipe.batch.anomalous]])
        x_BTD, labels = x_BTD.to(loop.device), labels.to(loop.device)
        alone = optimisation(recipe, heads[2].to(loop.device), data.crops)
        run = RunFolder(Path(root) / "run", recipe, {}, resume=False)
        with run.open_log(after_step=0) as log:
            rivals: dict[str, Callable[[int], object]] = {
                "amiss": lambda n: loop.advance(log, lambda step: None),
                "head": lambda n: [alone(x_BTD, labels) for _ in range(n)],
            }
            if data.crops == 1 and loop.device.type == "cpu":
                rivals["straightforward"] = straightforward(recipe, heads[1], features, videos, normalisation)
            rates: dict[str, list[float]] = {name: [] for name in rivals}
            for round_ in range(rounds + 1):
                for name, train in rivals.items():
                    began = time.perf_counter()
                    train(steps)
                    if loop.device.type == "cuda":
                        torch.cuda.synchronize()
                    if round_:  # the first warms up
                        rates[name].append(steps / (time.perf_counter() - began))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--recipe", default="sultani2018")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="of each rival, per round")
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    parser.add_argument("--rtfm", action="store_true", help="RTFM at its published size instead")
    parser.add_argument("--bags", type=int, default=32, help="with --rtfm: of each label in a batch")
    parser.add_argument("--dim", type=int, default=2048, help="with --rtfm: numbers of a feature")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    bags = arguments.bags if arguments.rtfm else 30
    recipe = load_recipe(
        "rtfm" if arguments.rtfm else arguments.recipe, [f"batch.normal={bags}", f"batch.anomalous={bags}"]
    )
    sizes: tuple[Data, ...] = DATA
    if arguments.rtfm:
        what = f"10 crops x 32 segments, {arguments.dim} (RTFM)"
        sizes = (Data(what, arguments.dim, segments=32, crops=10),)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    lines = [
        f"`{recipe.name}`, {bags} + {bags} bags, {where}, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}; iterations per second: median (smallest to largest)",
        "",
        "| features | amiss | head alone | straightforward | amiss : head | amiss : straightforward |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    results = {}
    for data in sizes:
        rates = measure(recipe, data, arguments.rounds, arguments.steps)
        # rounds are compared pairwise: a machine's mood changes from one to the next
        ratios = {
            name: statistics.median(a / b for a, b in zip(rates["amiss"], rates[name], strict=True))
            for name in ("head", "straightforward")
            if name in rates
        }
        results[data.what] = {"iterations_per_second": rates, "amiss_ratio": ratios}
        cells = [f"{statistics.median(r):.1f} ({min(r):.1f} to {max(r):.1f})" for r in rates.values()]
        cells += ["-"] * (3 - len(cells)) + [f"{ratio:.2f}" for ratio in ratios.values()] + ["-"] * (2 - len(ratios))
        lines.append(f"| {data.what} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    table = "\n".join(lines) + "\n"
    print(table)
    if arguments.out is not None:
        setting = {"recipe": recipe.name, "threads": torch.get_num_threads(), "torch": torch.__version__}
        setting |= {"python": platform.python_version(), "machine": platform.machine()}
        write_json(arguments.out / "training.json", setting | {"results": results})
        write_text(arguments.out / "training.md", table)


if __name__ == "__main__":
    main()
