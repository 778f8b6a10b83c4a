"""What the video networks of this package share: an architecture's card, its weights, its line in the registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amiss.backbones._base import Backbone, BackboneEntry, BackboneInfo
from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._spec import FeatureSpec
from amiss.backbones.weights import (
    PublishedWeights,
    Unfetched,
    choose_weights,
    fill_network,
    random_weights,
    read_weights,
    unwrap,
)
from amiss.errors import UsageError, WeightsError

_RANDOM_CLASSES = 400  # of a classifier with random weights, as Kinetics-400 has


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network without its classifier, and what belongs to its published weights."""

    name: str
    build: Callable[..., nn.Module]
    """(options) → the network: clips [N, 3, T, H, W] → features [N, dim]."""
    dim: int
    classifier: tuple[str, ...]
    """Prefixes of tensors that published files have and the network doesn't use."""
    gives_logits: bool = False
    """Whether its classifier is one linear layer on the features, so that it can give logits, too."""
    preprocessing: Preprocessing
    preprocessing_of: Mapping[str, Preprocessing] = field(default_factory=dict)
    """By id, of published weights that were trained with another preprocessing."""
    published: tuple[PublishedWeights, ...] = ()
    """The first are the default."""
    licence: str
    note: str
    rename: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict
    """Tensors by their original names → by ours."""
    detect: Callable[[Mapping[str, Tensor]], dict[str, Any]] = lambda tensors: {}
    """Tensors by our names → options of `build` that they show."""

    def filled(self, tensors: Mapping[str, Any], source: str, *, logits: bool = False, **options: Any) -> nn.Module:
        """The network with these weights, in eval mode without gradients.

        Args:
            tensors: by their original names or ours, as trainers save them (see `amiss.backbones.weights.unwrap`).
            source: where they are from, for messages.
            logits: with its classifier.
            options: of the architecture; by default as the tensors show.

        Raises:
            UsageError: no such option.
            WeightsError: the tensors are of another network; names the first that don't fit.
        """
        given = self.rename(unwrap(tensors, source))
        detected = self.detect(given)
        if strangers := sorted(set(options) - set(detected)):
            raise UsageError(f"{self.name} has no option {strangers[0]}; it has {sorted(detected) or 'none'}")
        with torch.device("meta"):  # no time is lost on values that are replaced
            network = self.build(**{**detected, **options})
        fill_network(network, {n: t for n, t in given.items() if not n.startswith(self.classifier)}, source)
        if logits:
            network = nn.Sequential(network, self._classifier(given, source))
        return network.eval().requires_grad_(False)

    def _classifier(self, given: Mapping[str, Tensor], source: str) -> nn.Linear:
        prefix = self.classifier[0]
        of_layer = {name.removeprefix(prefix): tensor for name, tensor in given.items() if name.startswith(prefix)}
        if "weight" not in of_layer:
            raise WeightsError(f"{source} has no classifier ({prefix}weight is missing): it can't give logits")
        layer = nn.Linear(self.dim, len(of_layer["weight"]), device="meta")
        fill_network(layer, of_layer, f"the classifier of {source}")
        return layer

    def random(self, *, logits: bool = False) -> nn.Module:
        """The network with weights of a fixed seed of its own; the global generator stays as it is."""
        with torch.device("meta"):
            network = self.build()
            if logits:
                network = nn.Sequential(network, nn.Linear(self.dim, _RANDOM_CLASSES))
        network.to_empty(device="cpu")
        with random_weights():
            for module in network.modules():
                match module:
                    case nn.Conv3d() | nn.Linear():  # gain 1: deep residual sums stay finite, also in 16 bits
                        nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                        if module.bias is not None:
                            nn.init.zeros_(module.bias)
                    case nn.BatchNorm3d():
                        module.reset_parameters()
                    case _:
                        pass
        return network.eval().requires_grad_(False)

    @property
    def entry(self) -> BackboneEntry:
        """The line of the registry."""
        side = self.preprocessing.crop or 0
        published = ("default", *(p.id for p in self.published)) if self.published else ()
        info = BackboneInfo(
            name=self.name,
            kind="video network",
            dim=self.dim,
            input_size=(side, side),
            weights=(*published, "random", "FILE"),
            licence=self.licence,
            note=self.note,
        )
        with_logits = partial(VideoNetwork, self, logits=True) if self.gives_logits else None
        return BackboneEntry(info, partial(VideoNetwork, self), lambda: self.published, with_logits)


class VideoNetwork(Backbone):
    """A video network of this package that gives its pooled features, or the logits of its classifier."""

    def __init__(self, architecture: Architecture, weights: str | Path, crops: int, *, logits: bool = False) -> None:
        super().__init__()
        name, published = architecture.name, {p.id: p for p in architecture.published}
        if weights == "default" and not published:
            raise WeightsError(f"{name} has no published weights: choose random, or a file")
        chosen = choose_weights(name, weights, published, next(iter(published), ""))
        if isinstance(weights, Unfetched):
            with torch.device("meta"):
                self.network = architecture.build()
        elif chosen.path is None:
            self.network = architecture.random(logits=logits)
        else:
            self.network = architecture.filled(read_weights(chosen.path), str(chosen.path), logits=logits)
        preprocessing = architecture.preprocessing_of.get(chosen.id, architecture.preprocessing)
        self.preprocessing = replace(preprocessing, crops=crops)
        self.spec = FeatureSpec(
            backbone=name,
            weights=chosen.id,
            weights_sha256=chosen.sha256,
            dim=self.network[1].out_features if logits else architecture.dim,  # type: ignore[index]
            output="logits" if logits else "features",
            **self.preprocessing.spec_fields(),
        )

    def forward(self, clips: Tensor) -> Tensor:
        features: Tensor = self.network(clips)
        return features
