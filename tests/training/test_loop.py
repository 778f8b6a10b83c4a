"""The training loop beside its device: what waits for what."""

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from amiss.heads import create_head
from amiss.training import _loop as module
from amiss.training import load_recipe, make_optimiser
from amiss.training._bags import Bags

T, D, CROPS = 8, 12, 2
RECIPE = load_recipe("rtfm", ["batch.normal=4", "batch.anomalous=4", "segments=8", "evaluate_every=6", "steps=18"])


class Nowhere:
    """Keeps what is logged."""

    def __init__(self):
        self.metrics = []

    def write(self, step, metrics):
        self.metrics.append((step, dict(metrics)))


class Waits(TorchDispatchMode):
    """Counts what a GPU would be waited for: numbers read from tensors, and sizes that depend on their values."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        aten = torch.ops.aten
        self.count += function in (aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default)
        if function in (aten.index.Tensor, aten.index_put_.default):
            self.count += any(index is not None and index.dtype == torch.bool for index in args[1])
        return function(*args, **(kwargs or {}))


def bags(n, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, CROPS, T, D)).astype(np.float32)
    labels = np.arange(n) % 2
    return Bags(tuple(features), labels, clicks=((),) * n, stacked=torch.from_numpy(features).flatten(1))


def loop(recipe=RECIPE):
    torch.manual_seed(0)
    head = create_head(recipe.head, D, **recipe.head_options)
    return module.TrainingLoop(recipe, head, bags(20), bags(0), seed=0)


def test_a_step_waits_for_nothing():
    training, alone = loop(), loop()
    x_BTD, mask, labels = alone.fit.batch([0, 2, 4, 6, 1, 3, 5, 7])
    settings = RECIPE.optimiser.model_dump(exclude={"largest_gradient", "schedule"})
    optimiser = make_optimiser(settings.pop("name"), alone.head.parameters(), **settings)
    alone.head.train()
    alone.head(x_BTD, mask)  # once, the number of batches is read that normalisation has seen
    of_head, of_optimiser = Waits(), Waits()
    for _ in range(6):
        with of_head:
            loss = alone.head.loss(alone.head(x_BTD, mask), labels, crops=CROPS).total
            optimiser.zero_grad()
            loss.backward()
        with of_optimiser:
            optimiser.step()  # reads its own numbers of steps, which lie on the CPU
    counts = []
    for every in (6, 12, 18):
        training.recipe = RECIPE.model_copy(update={"evaluate_every": every})
        with Waits() as waits:
            training.advance(Nowhere(), lambda step: None)
        counts.append(waits.count)
    assert training.step == 18
    assert of_head.count == 0
    assert counts[1] == counts[2] <= of_optimiser.count + 4  # what is told at the end of an interval of 6 steps


def test_bags_prepared_ahead_are_the_same(monkeypatch):
    found = []
    for devices in ((), ("cpu",)):
        monkeypatch.setattr(module, "_PREPARES_AHEAD", devices)
        training, log = loop(), Nowhere()
        while not training.is_done:
            training.advance(log, lambda step: None)
        found.append((training.head.state_dict(), log.metrics))
    (weights, metrics), (others, other_metrics) = found
    assert metrics == other_metrics
    assert len(metrics) == 3
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_what_is_logged_are_means_and_the_first_loss_that_is_no_number_is_kept():
    told = module._Metrics()
    for step, loss in enumerate((1.0, 3.0, np.inf, np.nan), 1):
        told.add({"loss": torch.tensor(loss), "loss/a": torch.tensor(float(step))}, step)
        if step == 2:
            assert told.means(2) == {"loss": 2.0, "loss/a": 1.5}
            assert told.not_finite() is None
    assert told.not_finite() == (3, np.inf)
    assert module._Metrics().means(1) == {}
