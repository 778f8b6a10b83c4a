"""The training loop: batches, steps, evaluation on held-out videos, and its state for resuming."""

import copy
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from amiss.errors import AmissError
from amiss.heads import Head, LossTerms, crop_mean, mean_logits
from amiss.training._bags import Bags
from amiss.training._clip_loss import clip_loss
from amiss.training._glance_loss import glance_loss
from amiss.training._optimisers import make_optimiser, rate_share
from amiss.training._recipe import Recipe
from amiss.training._sampling import draw_batch
from amiss.training._selection import HeldOutScore, Selection

_EVALUATION_BAGS = 64  # bags per forward pass on held-out videos
_PREPARES_AHEAD = ("cuda",)  # devices for which a thread prepares the bags of the next step


class Log(Protocol):
    """Takes the metrics of steps."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add the metrics of a step."""


class TrainingLoop:
    """The training loop's state: head, optimiser, step, selection."""

    def __init__(
        self, recipe: Recipe, head: Head, fit: Bags, held_out: Bags, seed: int, *, stop: int | None = None
    ) -> None:
        """`stop`: last step, where it isn't the recipe's; the rate falls over those of the recipe all the same."""
        self.recipe = recipe
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.head = head.to(self.device)
        settings = recipe.optimiser.model_dump(exclude={"largest_gradient", "schedule"})
        self.optimiser = make_optimiser(settings.pop("name"), head.parameters(), **settings)
        self.fit = fit.on(self.device)
        self.held_out = held_out.on(self.device)
        self.seed = seed
        self.stop = stop
        self.step = 0
        self.step_seconds = 0.0
        self.crops = fit.features[0].shape[0]
        self.normal = np.flatnonzero(fit.labels == 0)
        self.anomalous = np.flatnonzero(fit.labels == 1)
        self._preparing = ThreadPoolExecutor(1)
        self._coming: tuple[int, Future[_Batch]] | None = None
        self.selection = Selection(recipe.selection)
        self.best_weights: dict[str, Tensor] | None = None

    @property
    def is_done(self) -> bool:
        return self.step >= self.n_steps or self.selection.should_stop

    @property
    def n_steps(self) -> int:
        """Steps at most."""
        return 1 if self.head.fits_at_once else min(self.recipe.steps, self.stop or self.recipe.steps)

    @property
    def selected_step(self) -> int:
        return self.selection.best_step if self.best_weights is not None else self.step

    @property
    def status(self) -> str:
        return f"held-out video AUC {self.selection.history[-1].video_auc:.3f}" if self.selection.history else ""

    def advance(self, log: Log, on_step: Callable[[int], object]) -> None:
        """Train until the next evaluation, evaluate, log."""
        told = _Metrics()
        end = min(self.step + self.recipe.evaluate_every - self.step % self.recipe.evaluate_every, self.n_steps)
        count = end - self.step
        began = time.process_time()
        while self.step < end:
            self.step += 1
            if self.head.fits_at_once:
                self.head.fit_bags(self.fit.features, self.fit.labels)
            else:
                told.add(self._train_step(), self.step)
            on_step(self.step)
        metrics = told.means(count)
        self.step_seconds += time.process_time() - began
        if (wrong := told.not_finite()) is not None:
            step, loss = wrong
            raise AmissError(
                f"the loss is {loss} at step {step}; lower the learning rate "
                f"(--set optimiser.lr={self.recipe.optimiser.lr / 10:g}) or check the features"
            )
        if len(self.held_out):
            score = self._score_held_out()
            metrics |= {
                "held_out/clip_auc": score.clip_auc,
                "held_out/video_auc": score.video_auc,
                "held_out/spread": score.spread,
            }
            if score.glance_rank is not None:
                metrics["held_out/glance_rank"] = score.glance_rank
            if self.selection.add(score, self.step):
                self.best_weights = _copy_to_cpu(self.head)
        log.write(self.step, metrics)

    def _train_step(self) -> dict[str, Tensor]:
        """One step; the terms of the loss stay where they are, since a GPU waits for each transfer."""
        # each step seeds dropout anew, so that a resumed run needs no generator state
        torch.manual_seed(int(np.random.SeedSequence([self.seed, 3, self.step]).generate_state(1)[0]))
        batch = self._batch()
        x_BTD, mask, labels = batch.features, batch.mask, batch.labels
        self.head.train()
        output = self.head(x_BTD, mask)
        losses = self.head.loss(output, labels, crops=self.crops, step=self.step)
        if self.recipe.glance_loss.weight:
            clicks = [self.fit.clicks[i] for i in batch.indices]
            term = glance_loss(output, mask, clicks, self.recipe.glance_loss, crops=self.crops, step=self.step)
            losses = _with(losses, "glance", term)
        if self.fit.clip_targets:
            targets = [self.fit.clip_targets[i] for i in batch.indices]
            losses = _with(
                losses, "teaching", clip_loss(output, mask, targets, self.recipe.teaching.weight, self.crops)
            )
        total = losses.total
        self.optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        self._forget_if_not_finite(total)
        if (largest := self.recipe.optimiser.largest_gradient) is not None:
            clip_grad_norm_(self.head.parameters(), largest)
        own = self.recipe.optimiser
        for group in self.optimiser.param_groups:
            group["lr"] = own.lr * rate_share(own.schedule, self.step, self.recipe.steps)
        self.optimiser.step()
        return {"loss": total.detach(), **{f"loss/{name}": term.detach() for name, term in losses.terms.items()}}

    def _forget_if_not_finite(self, total: Tensor) -> None:
        """Such a loss changes no weight, so that the next steps can be taken until `advance` looks and raises."""
        is_finite = torch.isfinite(total.detach())  # nobody waits to see it
        for parameter in self.head.parameters():
            if parameter.grad is not None:
                parameter.grad = torch.where(is_finite, parameter.grad, 0.0)

    def _batch(self) -> "_Batch":
        """The bags of this step; on a GPU, or where bags lie on the disk, the next ones are prepared meanwhile."""
        coming, self._coming = self._coming, None
        batch = self._draw(self.step) if coming is None or coming[0] != self.step else coming[1].result()
        pays = self.device.type in _PREPARES_AHEAD or self.fit.on_disk is not None
        if pays and self.step < self.n_steps:
            self._coming = self.step + 1, self._preparing.submit(self._draw, self.step + 1)
        return batch

    def _draw(self, step: int) -> "_Batch":
        indices = draw_batch(self.normal, self.anomalous, self.recipe.batch, self.seed, step)
        if self.fit.on_disk is not None:
            self.fit.expect(draw_batch(self.normal, self.anomalous, self.recipe.batch, self.seed, step + 1))
        return _Batch(indices, *(self._moved(tensor) for tensor in self.fit.batch(indices)))

    def _moved(self, tensor: Tensor) -> Tensor:
        """To the device, which goes on with its work meanwhile."""
        if tensor.device.type == self.device.type:
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _score_held_out(self) -> HeldOutScore:
        self.head.eval()
        self.head.finish()
        logits, masks, bag_scores = [], [], []
        with torch.inference_mode():
            for start in range(0, len(self.held_out), _EVALUATION_BAGS):
                chunk = range(start, min(start + _EVALUATION_BAGS, len(self.held_out)))
                x_BTD, mask, _ = (tensor.to(self.device) for tensor in self.held_out.batch(chunk))
                output = self.head(x_BTD, mask)
                logits.append(mean_logits(output, self.crops))
                masks.append(mask[:: self.crops])
                bag_scores.append(crop_mean(output.bag_score, self.crops).double())
        rows = [
            row[real]
            for mean_BT, real_BT in zip(logits, masks, strict=True)  # moved when all are there
            for row, real in zip(mean_BT.cpu().numpy(), real_BT.cpu().numpy(), strict=True)
        ]
        bags = torch.cat(bag_scores).cpu().numpy()
        return HeldOutScore.of(
            [expit(row) for row in rows], bags, self.held_out.labels, self.held_out.clicks, logits=rows
        )

    def head_now(self) -> Head:
        """A copy of the head as it is, ready to score, on the CPU."""
        return self._copy()

    def head_selected(self) -> Head:
        """A copy of the head at the selected step, ready to score, on the CPU."""
        return self._copy(self.best_weights)

    def _copy(self, weights: dict[str, Tensor] | None = None) -> Head:
        head = copy.deepcopy(self.head).cpu().eval()
        if weights is not None:
            head.load_state_dict(weights)
        head.finish()
        return head

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {
            "step": self.step,
            "step_seconds": self.step_seconds,
            "head": self.head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "selection": self.selection.state(),
            "best_weights": self.best_weights,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.step = state["step"]
        self.step_seconds = state["step_seconds"]
        self.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.selection.restore(state["selection"])
        self.best_weights = state["best_weights"]


def _with(losses: LossTerms, name: str, term: Tensor | None) -> LossTerms:
    return losses if term is None else LossTerms({**losses.terms, name: term})


@dataclass(frozen=True)
class _Batch:
    """The bags of a step, on the device."""

    indices: NDArray[np.intp]
    features: Tensor
    mask: Tensor
    labels: Tensor


class _Metrics:
    """Sums of what steps tell, kept where they are made until somebody asks."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._wrong: Tensor | None = None  # [2] first step whose loss isn't finite (0: none), and its loss

    def add(self, told: Mapping[str, Tensor], step: int) -> None:
        """The terms of a step."""
        for name, value in told.items():
            self._sums[name] = value.double() + self._sums[name] if name in self._sums else value.double()
        loss = told["loss"].double()
        now = torch.stack([torch.full_like(loss, step), loss])
        before = torch.zeros_like(now) if self._wrong is None else self._wrong
        self._wrong = torch.where((before[0] == 0) & ~torch.isfinite(loss), now, before)

    def means(self, count: int) -> dict[str, float]:
        """Of so many steps."""
        if not self._sums:
            return {}
        sums = torch.stack(list(self._sums.values())).tolist()
        return {name: value / count for name, value in zip(self._sums, sums, strict=True)}

    def not_finite(self) -> tuple[int, float] | None:
        """The first step whose loss wasn't finite, and that loss."""
        step, loss = (0, 0.0) if self._wrong is None else self._wrong.tolist()
        return (int(step), loss) if step else None


def _copy_to_cpu(head: Head) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in head.state_dict().items()}
