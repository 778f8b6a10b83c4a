"""Reference checkpoints of heads → our heads: tensors renamed, feature dim and sizes read from their shapes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from amiss.backbones.weights import unwrap
from amiss.convert import _mindspore
from amiss.errors import WeightsError
from amiss.heads import Head, create_head


def _temporal_names(module: str) -> dict[str, str]:
    """Names of the multi-scale temporal network, which the originals call `module`."""
    pyramid = {
        f"{module}.conv_{i + 1}.{j}": f"temporal.pyramid.{i}.{part}"
        for i in range(3)
        for j, part in ((0, "conv"), (2, "norm"))
    }
    return {
        **pyramid,
        f"{module}.conv_4.0": "temporal.squeeze",
        f"{module}.conv_5.0": "temporal.fuse.conv",
        f"{module}.conv_5.2": "temporal.fuse.norm",
        f"{module}.non_local.W.0": "temporal.non_local.out",
        f"{module}.non_local.W.1": "temporal.non_local.norm",
        **{f"{module}.non_local.{part}": f"temporal.non_local.{part}" for part in ("g", "theta", "phi")},
    }


def _global_local_names() -> dict[str, str]:
    """Names of the network of global and local attention."""
    names = {"embedding.conv_1.0": "temporal.embedding"}
    for layer in range(2):
        theirs, ours = f"selfatt.layers.{layer}", f"temporal.layers.{layer}"
        names |= {
            f"{theirs}.0.norm": f"{ours}.norm1",
            f"{theirs}.0.fn.to_qkv": f"{ours}.attention.inputs",
            f"{theirs}.0.fn.to_out.0": f"{ours}.attention.out",
            f"{theirs}.1.norm": f"{ours}.norm2",
            f"{theirs}.1.fn.net.0": f"{ours}.fc1",
            f"{theirs}.1.fn.net.3": f"{ours}.fc2",
        }
    return names


_NORMALITY = ("conv1", "bn1", "conv2", "bn2", "conv3")
_LAYERS = ("fc1", "fc2", "fc3")
_CLASSIFIER = {layer: f"classifier.{layer}" for layer in _LAYERS}


@dataclass(frozen=True)
class _Reference:
    """How an original names its layers, and where its sizes show."""

    head: str
    """Registry name of our head."""
    layers: dict[str, str]
    """Original name of a layer, or of a tensor, → ours."""
    first: str
    """Layer whose weight has the feature dim as its second axis."""
    sizes: dict[str, str] = field(default_factory=dict)
    """Option → tensor that has this many rows."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options that the original has built in."""
    unused: tuple[str, ...] = ()
    """How the names of tensors begin that scoring doesn't need."""


def _tca(**options: Any) -> _Reference:
    """PEL4VAD's network; what its configuration for a dataset has, doesn't show in a checkpoint."""
    attention = {f"self_attention.self_attn.{layer}": f"attention.{layer}" for layer in "qkvo"}
    layers = {f"self_attention.{layer}": layer for layer in ("linear1", "linear2", "norm")}
    return _Reference(
        "tca",
        attention
        | layers
        | {
            "self_attention.self_attn": "attention",
            "self_attention.loc_adj": "attention.prior",
            "classifier": "classifier",
        },
        "self_attention.linear1",
        sizes={
            "attention_channels": "self_attention.self_attn.q.weight",
            "channels": "self_attention.linear1.weight",
            "out_channels": "self_attention.linear2.weight",
        },
        options={"normalise": "time", **options},
        unused=("logit_scale",),
    )


def _lgt(**options: Any) -> _Reference:
    """VadCLIP's visual branch; its text encoder is left out."""
    layers = {
        "frame_position_embeddings": "positions",
        "linear": "linear",
        "classifier": "classifier",
        "mlp2.c_fc": "feed_forward.fc1",
        "mlp2.c_proj": "feed_forward.fc2",
    }
    for i in range(options["layers"]):
        theirs, ours = f"temporal.resblocks.{i}", f"layers.{i}"
        layers |= {
            f"{theirs}.attn.in_proj_weight": f"{ours}.inputs.weight",
            f"{theirs}.attn.in_proj_bias": f"{ours}.inputs.bias",
            f"{theirs}.attn.out_proj": f"{ours}.out",
            f"{theirs}.ln_1": f"{ours}.norm1",
            f"{theirs}.ln_2": f"{ours}.norm2",
            f"{theirs}.mlp.c_fc": f"{ours}.feed_forward.fc1",
            f"{theirs}.mlp.c_proj": f"{ours}.feed_forward.fc2",
        }
    for i, graph in ((1, "similar.0"), (2, "similar.1"), (3, "near.0"), (4, "near.1")):
        layers |= {f"gc{i}": graph, f"gc{i}.residual": f"{graph}.residual"}
    return _Reference(
        "lgt",
        layers,
        "classifier",
        sizes={"channels": "linear.weight", "chunk": "frame_position_embeddings.weight"},
        options={"padding": "seen", **options},
        unused=("mlp1.", "text_prompt_embeddings.", "clipmodel.", "disAdj."),
    )


_REFERENCES = {
    "sultani": _Reference("sultani", {layer: layer for layer in _LAYERS}, "fc1"),
    "topk": _Reference("topk", {layer: layer for layer in _LAYERS}, "fc1"),
    "rtfm": _Reference("rtfm", _temporal_names("Aggregate") | _CLASSIFIER, "fc1"),
    "distribution": _Reference(
        "distribution", _temporal_names("Atten") | _CLASSIFIER, "fc1", options={"variant": "original-2024"}
    ),
    "saa": _Reference(
        "saa",
        _temporal_names("aggregate")
        | {f"classifier.{layer}": f"classifier.{layer}" for layer in _LAYERS}
        | {
            "attn.attention.0": "attention.conv1",
            "attn.attention.3": "attention.conv2",
            "attn.attention.5": "attention.conv3",
        },
        "classifier.fc1",
    ),
    "tca": _tca(),
    "tca-xd": _tca(distance_weight=0.06, distance_bias=0.02, kernel=3, normalise="none"),
    "tca-shanghaitech": _tca(distance_weight=0.08, distance_bias=0.1, kernel=3, window=5),
    "lgt": _lgt(layers=2, window=8),
    "lgt-xd": _lgt(layers=1, window=64),
    "ur-dmu": _Reference(
        "ur-dmu",
        _global_local_names()
        | {
            "Amemory": "anomalous_memory",
            "Nmemory": "normal_memory",
            "encoder_mu.0": "mean",
            "encoder_var.0": "log_variance",
            "cls_head.mlp.0": "fc1",
            "cls_head.mlp.2": "fc2",
        },
        "embedding.conv_1.0",
        sizes={
            "channels": "embedding.conv_1.0.weight",
            "anomalous_slots": "Amemory.memory_block",
            "normal_slots": "Nmemory.memory_block",
        },
        options={"local_weights": "column", "kl_over": "clips"},
    ),
    "bn-wvad": _Reference(
        "bn-wvad",
        _global_local_names() | {f"normal_head.{layer}": f"normality.{layer}" for layer in _NORMALITY},
        "embedding.conv_1.0",
        sizes={"channels": "embedding.conv_1.0.weight"},
        options={"local_weights": "column"},
    ),
    "salient": _Reference(
        "salient",
        {"self_anttention.0": "w1", "self_anttention.2": "w2", "fc1": "fc1", "fc2": "fc2"},
        "self_anttention.0",
        sizes={"d_a": "self_anttention.0.weight", "r": "self_anttention.2.weight"},
    ),
}

EVALUATION_OPTIONS: dict[str, dict[str, Any]] = {"salient": {"chunk": 28, "clip_scores": "chunk"}}
"""Head options with which an original's published numbers were made, where they differ from the defaults."""


def _from_reference(kind: str, state_dict: Mapping[str, Any], **options: Any) -> Head:
    """The head of a reference checkpoint, in eval mode.

    Args:
        kind: key of `HEAD_KINDS`.
        state_dict: tensors by their original names (SAA: PyTorch's or MindSpore's), as trainers save them
            (`amiss.backbones.weights.unwrap`).
        options: of the head.

    Raises:
        UsageError: no such option.
        WeightsError: the tensors are of another network, or not finite; names the first that don't fit.
    """
    reference = _REFERENCES[kind]
    tensors = unwrap(state_dict, f"the {kind} checkpoint")
    mindspore = _mindspore.is_mindspore(tensors)
    if mindspore:
        tensors = _mindspore.torch_names(tensors)

    def size(name: str, axis: int) -> int:
        tensor = tensors.get(name)
        if tensor is None or tensor.ndim < 2:
            raise WeightsError(f"not a {kind} checkpoint: it has no {name}, but {list(tensors)[:4]}")
        return tensor.shape[axis]

    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(reference.unused)}
    sizes = {option: size(name, 0) for option, name in reference.sizes.items()}
    head = create_head(
        reference.head, size(f"{reference.first}.weight", 1), **{**sizes, **reference.options, **options}
    )
    _fill(head, tensors, reference.layers, kind, zero_biases=mindspore)
    return head.eval()


def _fill(head: Head, tensors: dict[str, Tensor], layers: Mapping[str, str], kind: str, *, zero_biases: bool) -> None:
    expected = head.state_dict()
    original = {ours: theirs for theirs, ours in layers.items()}
    problems, filled = [], {}
    for name, tensor in expected.items():
        layer, _, last = name.rpartition(".")
        source = original.get(name) or (f"{original[layer]}.{last}" if layer in original else name)
        found = tensors.pop(source, None)
        if found is None and (last == "num_batches_tracked" or (zero_biases and last == "bias")):
            found = torch.zeros_like(tensor)  # MindSpore's Conv1d has no bias by default
        if found is None:
            problems.append(f"{source} is missing")
        elif found.shape != tensor.shape:
            problems.append(f"{source} is {tuple(found.shape)}, not {tuple(tensor.shape)}")
        elif not found.isfinite().all():
            problems.append(f"{source} has values that are not finite")
        else:
            filled[name] = found.to(tensor.dtype)
    problems += [f"{name} is unknown" for name in tensors]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(f"the {kind} checkpoint doesn't fit: {'; '.join(problems[:3])}{more}")
    head.load_state_dict(filled)


HEAD_KINDS: dict[str, Callable[..., Head]] = {kind: partial(_from_reference, kind) for kind in _REFERENCES}
