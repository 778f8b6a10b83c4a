"""The command convert."""

from pathlib import Path
from typing import Annotated

import typer

from amiss.cli import _console as console

_KINDS = (
    "sultani, topk, rtfm, distribution, saa, salient, ur-dmu, bn-wvad; tca, tca-xd or tca-shanghaitech (PEL4VAD); lgt "
    "or lgt-xd (VadCLIP)."
)


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(console.guarded(convert))


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Trained head of another project: .mat, .pt, .pth, .pkl, .ckpt.")],
    kind: Annotated[str, typer.Option("--from", help=_KINDS)],
    out: Annotated[Path, typer.Option(help="Folder of the detector, empty or new.")],
    backbone: Annotated[
        str | None, typer.Option(help="Backbone of the features it was trained on, see `amiss backbones`.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="Feature set of the kind it was trained on, instead of --backbone.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Preprocessing of the features, see `amiss presets`; default: the original's.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Of the backbone: an id (`amiss weights list`), or a file; default: the original's."),
    ] = None,
    segments: Annotated[int | None, typer.Option(help="Rows that a video's clips are pooled to; default 32.")] = None,
    pooling: Annotated[
        str | None,
        typer.Option(help="matlab, ekosman, rtfm or norm; none: clips are scored. Default: the original's."),
    ] = None,
    crops: Annotated[int | None, typer.Option(help="Views of each clip, 1, 5 or 10; default: the original's.")] = None,
    chunk: Annotated[
        int | None, typer.Option(help="salient: clips that are scored as one (its --test-split-size); default 28.")
    ] = None,
) -> None:
    """Make a detector of a head that another project trained."""
    from amiss.jobs import convert_checkpoint

    converted = convert_checkpoint(
        checkpoint,
        kind,
        out,
        backbone=backbone,
        like=like,
        preset=preset,
        weights=weights,
        segments=segments,
        pooling=pooling,
        crops=crops,
        chunk=chunk,
    )
    detector, spec = converted.detector, converted.detector.spec
    size = sum(parameter.numel() for parameter in detector.head.parameters())
    rows = "clips" if spec.segments is None else f"{spec.segments} segments pooled by the rule {spec.pooling}"
    made_by = f"{spec.backbone} ({spec.dim}), weights {spec.weights}, preset {spec.preset}"
    console.note(f"{out}: {detector.head.name}, {size} parameters")
    console.note(f"features: {made_by}; {rows}, crops {spec.crops}")
    if converted.differences:
        console.note(f"it scores otherwise than the original was evaluated: {'; '.join(converted.differences)}")
    else:
        console.note("it scores as the original was evaluated")
    console.note(f"threshold {detector.calibration.threshold}: not calibrated on normal videos")
