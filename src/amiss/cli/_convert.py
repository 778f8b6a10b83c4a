"""The command convert."""

from pathlib import Path
from typing import Annotated

import typer

from amiss.cli import _console as console


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(console.guarded(convert))


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Trained head of another project: .mat, .pt, .pth, .pkl, .ckpt.")],
    kind: Annotated[str, typer.Option("--from", help="sultani, topk, rtfm, distribution, saa or salient.")],
    backbone: Annotated[str, typer.Option(help="Backbone of the features it was trained on, see `amiss backbones`.")],
    out: Annotated[Path, typer.Option(help="Folder of the detector, empty or new.")],
) -> None:
    """Make a detector of a head that another project trained."""
    from amiss.jobs import convert_checkpoint

    detector = convert_checkpoint(checkpoint, kind, backbone, out)
    head = detector.head
    size = sum(parameter.numel() for parameter in head.parameters())
    console.note(f"{out}: {head.name}, {size} parameters, features of {backbone} ({head.feature_dim})")
    console.note(f"threshold {detector.calibration.threshold}: not calibrated on normal videos")
