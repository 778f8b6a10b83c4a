"""Weight files: where they are looked up, how they are read, and how they fill a network."""

import http.client
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from amiss.backbones._caffe2 import is_caffe2, read_caffe2
from amiss.backbones._download import OnBytes, download, lines_on_stderr
from amiss.errors import UsageError, WeightsError
from amiss.files import sha256_file

WEIGHTS_VARIABLE = "AMISS_WEIGHTS"
"""Environment variable: a folder of weight files, or one file, which serves only where its own name is asked for."""


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """Weights at an official address."""

    id: str
    url: str
    megabytes: float = 0.0
    """0 = unknown."""
    file: str = ""
    """Name of the file where `url` is a page from which a person must fetch it; empty = `url` is the file's."""

    save_as: str = ""
    """Name of the file on this machine, where the one in `url` says nothing; empty = the one in `url`."""

    sha256: str = ""
    """Of the file, or its first digits; empty = its name ends in them, or it is unknown."""
    licence: str = ""
    """Of code and these weights; empty = what the network's says."""

    @property
    def file_name(self) -> str:
        """Name of the file on this machine."""
        return self.file or self.save_as or Path(urlparse(self.url).path).name

    @property
    def sha256_start(self) -> str:
        """First digits of the file's SHA-256: names of torch hub end in it (`r3d_18-b3b3357e.pth`). Empty = unknown."""
        if self.sha256:
            return self.sha256
        digits = self.file_name.rpartition("-")[2].partition(".")[0]
        return digits if re.fullmatch("[0-9a-f]{8,64}", digits) else ""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that were chosen: what goes into a FeatureSpec, and the file, which `random` doesn't have."""

    id: str
    sha256: str | None = None
    path: Path | None = None


def choose_weights(
    backbone: str, choice: str | os.PathLike[str], published: Mapping[str, PublishedWeights], default: str
) -> Weights:
    """Turn what a user asked for into weights on this machine. Published ones are downloaded if they aren't here.

    Args:
        backbone: its name, for messages.
        choice: `default`, `random`, the id of published weights, or a file (as a bare name also looked up in
            `$AMISS_WEIGHTS`). A file that is a copy of published weights counts as them.
        published: by id.
        default: id that `default` stands for.

    Raises:
        UsageError: this backbone needs weights and `none` was asked for.
        WeightsError: no such file or id, or published weights can't be downloaded.
    """
    text = os.fspath(choice)
    if text == "random":
        return Weights(id="random")
    if text == "none":
        raise UsageError(f"{backbone} needs weights: default, random, one of {sorted(published)}, or a file")
    entry = published.get(default if text == "default" else text)
    if entry is not None:
        path = fetch_published(backbone, entry)
        return Weights(id=entry.id, sha256=sha256_file(path), path=path)
    path = Path(text)
    if not path.is_file():
        found = locate(path.name) if path.name == text else None
        if found is None:
            raise WeightsError(
                f"{backbone}: there is no weight file {text}; "
                f"choose default, random, one of {sorted(published)}, or a file"
            )
        path = found
    sha256 = sha256_file(path)
    namesakes = [p for p in published.values() if p.file_name == path.name]
    copies = [p.id for p in namesakes if sha256.startswith(p.sha256_start)]
    if namesakes and not copies:
        warnings.warn(
            f"{path} has the name of weights {namesakes[0].id} of {backbone}, but is another file: its sha256 is "
            f"{sha256[:12]}…, not {namesakes[0].sha256_start[:12]}…. It counts as weights of your own",
            stacklevel=2,
        )
    return Weights(id=copies[0] if copies else path.name, sha256=sha256, path=path)


def find_weights(name: str, sha256: str | None = None, *, explicit: str | os.PathLike[str] | None = None) -> Path:
    """Find the weight file that a spec names: the explicit file, then `$AMISS_WEIGHTS`, then torch hub's cache.

    Args:
        name: file name.
        sha256: the file's hash, or its first digits; None = don't check.
        explicit: a file that the user named; it may have another name.

    Raises:
        WeightsError: it is nowhere, or what is there is another file.
    """
    path = Path(explicit) if explicit is not None else locate(name)
    if path is None or not path.is_file():
        where = f"{path} doesn't exist" if path is not None else f"not in ${WEIGHTS_VARIABLE} nor in {_hub_folder()}"
        digits = f" (sha256 {sha256[:12]}…)" if sha256 else ""
        raise WeightsError(
            f"weight file {name}{digits} is missing: {where}. Put it into {_where_to_put()}, or give it as weights"
        )
    if sha256:
        replace = f"Delete it or move it away, and put the right one into {_where_to_put()}"
        _check_hash(path, name, sha256, "Give the right one" if explicit is not None else replace)
    return path


def _check_hash(path: Path, name: str, sha256: str, advice: str) -> None:
    if not (found := sha256_file(path)).startswith(sha256):
        raise WeightsError(
            f"{path} is not the weight file {name}: its sha256 is {found[:12]}…, not {sha256[:12]}…. {advice}"
        )


def weights_folders() -> list[Path]:
    """Where weight files are looked for, in this order; downloaded ones go into the last one."""
    given = os.environ.get(WEIGHTS_VARIABLE)
    return [*([Path(given)] if given else []), _hub_folder()]


def locate(name: str) -> Path | None:
    """The weight file of that name on this machine, or None."""
    candidates = (folder if folder.name == name else folder / name for folder in weights_folders())
    return next((path for path in candidates if path.is_file()), None)


def _unused_variable() -> str | None:
    """Why `$AMISS_WEIGHTS` has no file of the name that was looked for, where it isn't an ordinary folder."""
    path = Path(os.environ.get(WEIGHTS_VARIABLE) or ".")
    if path.is_file():
        return f"${WEIGHTS_VARIABLE} is the file {path}, which serves only where its own name is asked for"
    return None if path.is_dir() else f"${WEIGHTS_VARIABLE} is {path}, which doesn't exist"


def _where_to_put() -> str:
    """The folder for a weight file that someone fetched, for messages."""
    given, unused = os.environ.get(WEIGHTS_VARIABLE), _unused_variable()
    if given and not unused:
        return f"the folder ${WEIGHTS_VARIABLE} ({given})"
    return f"{_hub_folder()}, or a folder that ${WEIGHTS_VARIABLE} names" + (f" ({unused})" if unused else "")


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch_published(backbone: str, weights: PublishedWeights, on_progress: OnBytes | None = None) -> Path:
    """The file of published weights; it is downloaded unless it is on this machine.

    Args:
        backbone: its name, for messages.
        weights: which ones.
        on_progress: told how many bytes are there, of how many; None = lines on stderr.

    Raises:
        WeightsError: they can't be downloaded, must be fetched by hand, or are others than announced.
    """
    if (found := locate(weights.file_name)) is not None:
        if weights.sha256_start:
            advice = f"Delete it or move it away, then run `{fetch_command(backbone, weights.id)}`"
            _check_hash(found, weights.file_name, weights.sha256_start, advice)
        return found
    if weights.file:
        raise WeightsError(
            f"weights {weights.id} of {backbone} are not on this machine and must be fetched by hand: put "
            f"{weights.file} from {weights.url} into {_where_to_put()}, or give the file as weights"
        )
    if unused := _unused_variable():
        warnings.warn(
            f"{backbone} needs {weights.file_name}, which is downloaded: {unused}. To use a file of another name, "
            "give it as weights",
            stacklevel=2,
        )
    path = _hub_folder() / weights.file_name
    try:
        on_progress = on_progress or lines_on_stderr(weights.file_name)
        download(weights.url, path, weights.sha256_start, on_progress, partial(_complaint, weights))
    except (OSError, http.client.HTTPException, WeightsError) as error:
        size = f"{weights.megabytes:.0f} MB, " if weights.megabytes else ""
        raise WeightsError(
            f"weights {weights.id} of {backbone} are not on this machine and can't be downloaded ({error}): put "
            f"{weights.file_name} ({size}{weights.url}) into {_where_to_put()}, or give the file as weights"
        ) from error
    return path


def fetch_command(backbone: str, id: str) -> str:
    """The command that fetches published weights, for messages."""
    return f"amiss weights fetch {backbone} --weights {id}"


def _complaint(weights: PublishedWeights, path: Path) -> str:
    """Why a file of which no hash is on record can't be these weights; empty = it may be."""
    size = path.stat().st_size
    if weights.megabytes and not weights.megabytes / 2 <= size / 1e6 <= weights.megabytes * 2:
        return f"it has {size:,} bytes, not about {weights.megabytes:.0f} MB"
    try:
        read_weights(path, Path(weights.file_name).suffix)
    except WeightsError:
        return "it can't be read as weights"
    return ""


def read_weights(path: Path, suffix: str = "") -> dict[str, Tensor]:
    """The tensors of a `.safetensors`, torch or Caffe2 (`.pkl`) file, by name. No code in the file is run.

    Args:
        path: the file.
        suffix: that its name will have; empty = it has it.

    Raises:
        WeightsError: damaged, no such file, or one of more than tensors.
    """
    try:
        if (suffix or path.suffix) == ".safetensors":
            tensors: dict[str, Tensor] = load_file(path)
            return tensors
        if is_caffe2(path, suffix):
            state = read_caffe2(path)
        else:
            with warnings.catch_warnings(action="ignore"):  # of odd protocols: what isn't tensors is refused anyway
                state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror or error}") from error
    except Exception as error:  # damaged files raise anything
        if named := re.search(r"it names ([\w.]+)|GLOBAL ([\w.]+)", str(error)):
            raise WeightsError(
                f"{path} holds more than tensors ({named[1] or named[2]}) and is not loaded, as that may run code"
            ) from error
        raise WeightsError(
            f"{path} can't be read as weights: it is damaged, or no weight file ({first_line(error)}). If it was "
            "downloaded, delete it and run `amiss weights fetch BACKBONE`"
        ) from error
    return unwrap(state, str(path))


def unwrap(state: Any, source: str) -> dict[str, Tensor]:
    """The tensors by name of a state dict, or of a checkpoint that has one under `state_dict` (or Caffe2's `blobs`).

    The prefix `module.` of networks that were trained in parallel is removed; arrays become tensors.

    Args:
        state: what a file held.
        source: where it is from, for messages.

    Raises:
        WeightsError: not such a thing.
    """
    for wrapper in ("state_dict", "blobs"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping):
        raise WeightsError(f"{source} is no state dict (tensors by name) but a {type(state).__name__}")
    prefix = "module." if state and all(str(name).startswith("module.") for name in state) else ""
    tensors = {str(name).removeprefix(prefix): _as_tensor(value) for name, value in state.items()}
    if others := [name for name, tensor in tensors.items() if tensor is None]:
        raise WeightsError(f"{source} is no state dict (tensors by name): {_some(others)} are something else")
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _as_tensor(value: Any) -> Tensor | None:
    """None = neither a tensor with values nor an array of numbers that torch knows."""
    if not isinstance(value, Tensor | np.ndarray) or (isinstance(value, Tensor) and value.is_meta):
        return None
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError):
        return None


def first_line(error: Exception) -> str:
    """What a reader's error says, but not torch's advice to run the code in the file."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return "torch can't read it" if "weights_only" in line or "trust the source" in line else line


def load_weights(network: nn.Module, path: Path, *, unused: tuple[str, ...] = ()) -> None:
    """Fill a network from a file. Every tensor of the network must be there, and nothing else but `unused` ones.

    Args:
        network: without its classifier.
        path: the file.
        unused: prefixes of tensors that the backbone doesn't use, such as the classifier's.

    Raises:
        WeightsError: names the first tensors that don't fit.
    """
    given = read_weights(path)
    fill_network(network, {name: t for name, t in given.items() if not name.startswith(unused)}, str(path))


def fill_network(network: nn.Module, given: Mapping[str, Tensor], source: str) -> None:
    """Fill a network, which may be on the meta device, with tensors: every one that it has, and no others.

    Args:
        network: without its classifier.
        given: by the network's names.
        source: where they are from, for messages.

    Raises:
        WeightsError: names the first tensors that don't fit.
    """
    wanted = network.state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # not in older files, not used
    missing = [name for name in wanted if name not in given and name not in counters]
    unexpected = [name for name in given if name not in wanted]
    both = [name for name in wanted if name in given and name not in counters]
    reshaped = [n for n in both if given[n].shape != wanted[n].shape]
    other_kind = [n for n in both if not _same_kind(given[n], wanted[n])]
    problems = []
    if missing:
        problems.append(f"it lacks {len(missing)} of {len(wanted.keys() - counters)} tensors ({_some(missing)})")
    if unexpected:
        problems.append(f"{len(unexpected)} tensors are of another network ({_some(unexpected)})")
    if reshaped:
        shapes = [f"{n} is {tuple(given[n].shape)}, not {tuple(wanted[n].shape)}" for n in reshaped]
        problems.append(f"{len(reshaped)} tensors have another shape ({_some(shapes)})")
    if other_kind:
        kinds = [f"{n} is {_kind(given[n])}, not {_kind(wanted[n])}" for n in other_kind]
        problems.append(f"{len(other_kind)} tensors hold another kind of number ({_some(kinds)})")
    if broken := [n for n in both if n not in other_kind and not given[n].isfinite().all()]:
        problems.append(f"{len(broken)} tensors have values that are not finite ({_some(broken)})")
    if problems:
        raise WeightsError(f"{source} doesn't fit this network: {'; '.join(problems)}")
    filling = {name: given[name].to(wanted[name].dtype) for name in both}
    filling |= {name: torch.zeros_like(wanted[name], device="cpu") for name in counters}
    network.load_state_dict(filling, assign=True)


def _same_kind(given: Tensor, wanted: Tensor) -> bool:
    is_plain = given.layout == torch.strided and not given.is_complex()
    return is_plain and given.is_floating_point() == wanted.is_floating_point()


def _kind(tensor: Tensor) -> str:
    sparse = "sparse " if tensor.layout != torch.strided else ""
    return sparse + str(tensor.dtype).removeprefix("torch.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
