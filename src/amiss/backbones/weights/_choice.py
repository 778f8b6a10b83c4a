"""What a user asked for → weights on this machine."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from amiss.backbones.weights._fetching import fetch_published
from amiss.backbones.weights._folders import locate
from amiss.backbones.weights._published import PublishedWeights
from amiss.errors import UsageError, WeightsError
from amiss.files import sha256_file

_SEED = 20180618  # of weights `random`


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that were chosen: what goes into a FeatureSpec, and the file, which `random` doesn't have."""

    id: str
    sha256: str | None = None
    path: Path | None = None


class Unfetched(str):
    """Id of published weights of which only the card is wanted: nothing is fetched, the network has no real values."""


def choose_weights(
    backbone: str, choice: str | os.PathLike[str], published: Mapping[str, PublishedWeights], default: str
) -> Weights:
    """Turn what a user asked for into weights on this machine. Published ones are downloaded if they aren't here.

    Args:
        backbone: its name, for messages.
        choice: `default`, `random`, the id of published weights (also `Unfetched`), or a file (as a bare name also
            looked up in `$AMISS_WEIGHTS`). A file that is a copy of published weights counts as them.
        published: by id.
        default: id that `default` stands for.

    Raises:
        UsageError: this backbone needs weights and `none` was asked for.
        WeightsError: no such file or id, or published weights can't be downloaded.
    """
    text = os.fspath(choice)
    if isinstance(choice, Unfetched):
        return Weights(id=str(choice))
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


@contextmanager
def random_weights() -> Iterator[None]:
    """A block in which weights are drawn, from a fixed seed; the global generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        yield
