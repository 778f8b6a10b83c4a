"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from amiss.errors import UsageError

PLACE = "PATH|URL"
"""What stands for a file or folder of this machine, or in a store."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Targets = Annotated[
    list[str],
    typer.Argument(help="Video files, folders of pictures or videos, or a manifest.csv; paths or URLs.", metavar=PLACE),
]
PictureFps = Annotated[
    float | None,
    typer.Option("--fps", help="Pictures per second of folders of numbered pictures, which don't tell it.", min=1e-3),
]
Manifest = Annotated[str, typer.Option("--data", help="Manifest.", metavar=PLACE)]
FeatureFolder = Annotated[str, typer.Argument(help="Feature set.", metavar=PLACE)]
FeaturesOut = Annotated[
    str,
    typer.Option("--out", help="Place of the feature set; a stopped run goes on where it was.", metavar=PLACE),
]
Preset = Annotated[
    str, typer.Option(help="Preprocessing of a named project, see `amiss presets`; default: the weights' own.")
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="`default`, `random`, an id (`amiss weights list`), or a file; for one part of a fusion: `NAME=ID` or "
        "`NAME=FILE` (repeat it)."
    ),
]
Threshold = Annotated[
    float | None, typer.Option(help="Scores from here on are an event, in place of the detector's threshold.", min=0)
]
PerHour = Annotated[
    float | None,
    typer.Option(help="Or the lowest threshold with at most so many false alarms an hour, where the detector knows."),
]
MissingFeatures = Annotated[
    Literal["error", "drop"],
    typer.Option("--missing", help="Videos without features: an error, or left out and named."),
]
EngineName = Annotated[
    Literal["auto", "torch", "openvino"], typer.Option("--engine", help="What runs the network; see `amiss doctor`.")
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"],
    typer.Option(help="bf16: faster where the processor has it; fp16: CUDA; int8: `amiss weights quantise` first."),
]
DecoderName = Annotated[
    Literal["auto", "cpu", "cuda"] | None,
    typer.Option("--decoder", help="What decodes videos: auto (the processor), cpu, or cuda (NVDEC); see `doctor`."),
]
Compiled = Annotated[
    bool,
    typer.Option("--compile", help="Compile networks in engine torch: pays on a GPU and many videos; takes minutes."),
]

Cluster = Annotated[
    str | None,
    typer.Option(
        help="Work on a Ray cluster: `local` (this machine), `auto` (the one that it is part of), HOST:PORT or "
        "ray://HOST:PORT."
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(help="Metrics for Prometheus at http://127.0.0.1:PORT/metrics while it works.", min=1, max=65535),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes that work at a time; default: this one alone, or as many as the cluster has room for."
    ),
]


def decode_with(decoder: str | None) -> None:
    """What `--decoder` says; without it the environment decides.

    Raises:
        UsageError: it isn't there.
    """
    if decoder is not None:
        from amiss.jobs import use_decoder

        use_decoder(decoder)


def weight_choice(weights: list[str] | None) -> str | dict[str, str]:
    """What `--weights` says: one choice for all parts of a fusion, or one per part.

    Raises:
        UsageError: several choices without names.
    """
    named = dict(item.split("=", 1) for item in weights or [] if "=" in item and not Path(item).exists())
    plain = [item for item in weights or [] if item.split("=", 1)[0] not in named]
    if len(plain) > 1 or (plain and named):
        raise UsageError(f"--weights {plain}: several weights need names, --weights NAME=FILE")
    return named or (plain[0] if plain else "default")
