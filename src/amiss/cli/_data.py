"""Commands about data: dataset, extract, features."""

from pathlib import Path
from typing import Annotated

import typer

from amiss.cli import _console as console
from amiss.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="`default`, `random`, an id (`amiss weights list`), or a file; for one part of a fusion: `NAME=ID` or "
        "`NAME=FILE` (repeat it)."
    ),
]
EngineName = Annotated[str, typer.Option("--engine", help="auto, torch or openvino; see `amiss doctor`.")]
Precision = Annotated[
    str,
    typer.Option(help="auto, fp32, bf16 (faster where the processor has it) or int8 (`amiss weights quantise`)."),
]


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


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    dataset = typer.Typer(help="Build and check manifests.", no_args_is_help=True)
    dataset.command("build")(console.guarded(build))
    dataset.command("check")(console.guarded(check))
    app.add_typer(dataset, name="dataset")
    app.command()(console.guarded(extract))
    features = typer.Typer(help="Import, export and check feature sets.", no_args_is_help=True)
    features.command("import")(console.guarded(import_))
    features.command("export")(console.guarded(export))
    features.command("check")(console.guarded(check_features))
    app.add_typer(features, name="features")


def build(
    name: Annotated[str, typer.Argument(help="Dataset, see `amiss datasets`; `folder` for your own videos.")],
    root: Annotated[Path, typer.Option(help="Folder of the data; for `folder`, the one with normal/ and anomalous/.")],
    out: Annotated[Path, typer.Option(help="Manifest to write.")] = Path("manifest.csv"),
    class_name: Annotated[str | None, typer.Option("--class", help="Only this class of anomalies.")] = None,
) -> None:
    """Write the manifest of a dataset."""
    from amiss.datasets import build_dataset, write_manifest

    with console.progress("decode") as on_progress:
        built = build_dataset(name, root, class_name, lambda done, total: on_progress(done, total, "videos"))
    for problem in built.problems:
        console.warn(str(problem))
    manifest = built.manifest
    write_manifest(manifest, out)
    counts = {
        "train": len(manifest.split("train")),
        "val": len(manifest.split("val")),
        "test": len(manifest.split("test")),
    }
    parts = ", ".join(f"{count} {split}" for split, count in counts.items() if count)
    anomalous = sum(video.label for video in manifest.videos)
    console.note(f"{out}: {len(manifest.videos)} videos ({parts}), {anomalous} anomalous")


def check(manifest: Annotated[Path, typer.Argument(help="Manifest to check.")]) -> None:
    """Check a manifest by decoding every video in it."""
    from amiss.datasets import check_dataset, read_manifest

    read = read_manifest(manifest)
    with console.progress("decode") as on_progress:
        problems = check_dataset(read, lambda done, total: on_progress(done, total, "videos"))
    errors = [problem for problem in problems if problem.is_error]
    for problem in problems:
        (console.fail if problem.is_error else console.warn)(str(problem))
    console.note(f"{len(read.videos)} videos, {len(errors)} errors, {len(problems) - len(errors)} warnings")
    if errors:
        raise typer.Exit(1)


def extract(
    targets: Annotated[list[Path], typer.Argument(help="Video files, folders of them, or a manifest.csv.")],
    backbone: Annotated[str, typer.Option(help="Backbone, see `amiss backbones`; join with `+` to fuse.")],
    out: Annotated[Path, typer.Option(help="Folder of the feature set; a stopped run goes on where it was.")],
    weights: Weights = None,
    crops: Annotated[int, typer.Option(help="Spatial views per clip: 1, 5 or 10.")] = 1,
    stride: Annotated[int | None, typer.Option(help="Frames between clip starts; default: the preset's.")] = None,
    frame_rate: Annotated[
        float | None, typer.Option(help="Frames per second that videos are resampled to; default: their own.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Preprocessing of a named project, see `amiss presets`; default: the weights' own.")
    ] = "default",
    engine: EngineName = "auto",
    precision: Precision = "auto",
) -> None:
    """Extract features of videos into a feature set."""
    from amiss.backbones import create_backbone
    from amiss.engines import create_engine
    from amiss.jobs import extract as extract_videos
    from amiss.jobs import video_files

    videos = video_files(targets)
    built = create_backbone(
        backbone, weight_choice(weights), crops=crops, stride=stride, frame_rate=frame_rate, preset=preset
    )
    chosen = create_engine(built, engine=engine, precision=precision)
    console.note(f"engine: {chosen.description}")
    with console.progress("extract") as on_progress:
        report = extract_videos(videos, chosen, out, on_progress)
    console.finish(report, f"videos extracted to {out}")


def import_(
    path: Annotated[Path, typer.Argument(help="File or folder of features in another project's layout.")],
    out: Annotated[Path, typer.Option(help="Folder of the feature set.")],
    layout: Annotated[
        str | None,
        typer.Option(help="c3d-codes, rtfm, wu, ekosman, sultani, csv or hdf5; recognised if left out."),
    ] = None,
) -> None:
    """Import features that other projects wrote."""
    from amiss.features import import_features

    count = import_features(path, out, layout)
    console.note(f"{count} videos imported to {out}")


def export(
    features: Annotated[Path, typer.Argument(help="Feature set.")],
    layout: Annotated[str, typer.Option(help="rtfm, wu, ekosman, sultani, csv or hdf5.")],
    out: Annotated[Path, typer.Option(help="Folder to write, empty or new.")],
) -> None:
    """Export a feature set in the layout of another project."""
    from amiss.features import export_features, open_feature_set

    count = export_features(open_feature_set(features), out, layout)
    console.note(f"{count} videos exported to {out}")


def check_features(
    features: Annotated[Path, typer.Argument(help="Feature set.")],
    other: Annotated[Path | None, typer.Argument(help="Another feature set to compare it with.")] = None,
    as_json: Json = False,
) -> None:
    """Check every file of a feature set; with another one, compare the two."""
    from amiss.jobs import check_feature_set, compare_feature_sets

    check = check_feature_set(features)
    comparison = compare_feature_sets(features, other) if other else None
    if as_json:
        console.print_json(check.to_dict() | {"comparison": comparison})
    else:
        console.print_table(["field", "value"], list(check.summary.items()))
        if comparison:
            console.print_table(["comparison", "value"], list(comparison.items()))
    for message in check.problems:
        console.fail(message)
    if check.problems:
        raise typer.Exit(1)
