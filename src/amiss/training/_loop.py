"""The training loop: batches, steps, evaluation on held-out videos, and its state for resuming."""

import copy
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from amiss.errors import AmissError
from amiss.heads import Head, LossTerms, crop_mean
from amiss.training._bags import Bags
from amiss.training._clip_loss import clip_loss
from amiss.training._glance_loss import glance_loss
from amiss.training._optimisers import make_optimiser, rate_share
from amiss.training._recipe import Recipe
from amiss.training._sampling import draw_batch
from amiss.training._selection import HeldOutScore, Selection

_EVALUATION_BAGS = 64  # bags per forward pass on held-out videos


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
        sums: dict[str, float] = defaultdict(float)
        end = min(self.step + self.recipe.evaluate_every - self.step % self.recipe.evaluate_every, self.n_steps)
        count = end - self.step
        began = time.process_time()
        while self.step < end:
            self.step += 1
            for name, value in (self._fit() if self.head.fits_at_once else self._train_step()).items():
                sums[name] += value
            on_step(self.step)
        self.step_seconds += time.process_time() - began
        metrics: dict[str, float] = {name: value / count for name, value in sums.items()}
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

    def _fit(self) -> dict[str, float]:
        self.head.fit_bags(self.fit.features, self.fit.labels)
        return {}

    def _train_step(self) -> dict[str, float]:
        # each step seeds dropout anew, so that a resumed run needs no generator state
        torch.manual_seed(int(np.random.SeedSequence([self.seed, 3, self.step]).generate_state(1)[0]))
        indices = draw_batch(self.normal, self.anomalous, self.recipe.batch, self.seed, self.step)
        x_BTD, mask, labels = (tensor.to(self.device) for tensor in self.fit.batch(indices))
        self.head.train()
        output = self.head(x_BTD, mask)
        losses = self.head.loss(output, labels, crops=self.crops, step=self.step)
        if self.recipe.glance_loss.weight:
            clicks = [self.fit.clicks[i] for i in indices]
            term = glance_loss(output, mask, clicks, self.recipe.glance_loss, crops=self.crops, step=self.step)
            losses = _with(losses, "glance", term)
        if self.fit.clip_targets:
            targets = [self.fit.clip_targets[i] for i in indices]
            losses = _with(
                losses, "teaching", clip_loss(output, mask, targets, self.recipe.teaching.weight, self.crops)
            )
        total = losses.total
        loss, *terms = torch.stack([total, *losses.terms.values()]).tolist()  # at once: a GPU waits for each transfer
        if not math.isfinite(loss):
            raise AmissError(
                f"the loss is {loss} at step {self.step}; lower the learning rate "
                f"(--set optimiser.lr={self.recipe.optimiser.lr / 10:g}) or check the features"
            )
        self.optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        if (largest := self.recipe.optimiser.largest_gradient) is not None:
            clip_grad_norm_(self.head.parameters(), largest)
        own = self.recipe.optimiser
        for group in self.optimiser.param_groups:
            group["lr"] = own.lr * rate_share(own.schedule, self.step, self.recipe.steps)
        self.optimiser.step()
        return {"loss": loss, **{f"loss/{name}": term for name, term in zip(losses.terms, terms, strict=True)}}

    def _score_held_out(self) -> HeldOutScore:
        self.head.eval()
        self.head.finish()
        scores, bag_scores = [], []
        with torch.inference_mode():
            for start in range(0, len(self.held_out), _EVALUATION_BAGS):
                chunk = range(start, min(start + _EVALUATION_BAGS, len(self.held_out)))
                x_BTD, mask, _ = (tensor.to(self.device) for tensor in self.held_out.batch(chunk))
                output = self.head(x_BTD, mask)
                mean_BT = crop_mean(output.scores, self.crops).double().cpu().numpy()
                scores += [row[real] for row, real in zip(mean_BT, mask[:: self.crops].cpu().numpy(), strict=True)]
                bag_scores.append(crop_mean(output.bag_score, self.crops).double().cpu().numpy())
        return HeldOutScore.of(scores, np.concatenate(bag_scores), self.held_out.labels, self.held_out.clicks)

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


def _copy_to_cpu(head: Head) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in head.state_dict().items()}
