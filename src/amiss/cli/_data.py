"""Commands about data: dataset, extract, features."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from amiss.cli import _console as console
from amiss.cli._options import (
    PLACE,
    Cluster,
    Compiled,
    DecoderName,
    EngineName,
    FeatureFolder,
    FeaturesOut,
    Json,
    MetricsPort,
    PictureFps,
    Precision,
    Preset,
    Targets,
    Weights,
    Workers,
    decode_with,
    weight_choice,
)
from amiss.errors import UsageError

if TYPE_CHECKING:
    from amiss.jobs import ExtractionPlan

_LENGTHS = ("shortest_s", "median_s", "longest_s")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    dataset = typer.Typer(help="Build and check manifests.", no_args_is_help=True)
    dataset.command("build")(console.guarded(build))
    dataset.command("check")(console.guarded(check))
    app.add_typer(dataset, name="dataset")
    app.command()(console.guarded(extract))
    features = typer.Typer(help="Import, export, join, copy and check feature sets.", no_args_is_help=True)
    features.command("import")(console.guarded(import_))
    features.command("export")(console.guarded(export))
    features.command("concat")(console.guarded(concat))
    features.command("check")(console.guarded(check_features))
    features.command("verify")(console.guarded(verify))
    features.command("stats")(console.guarded(stats))
    features.command("copy")(console.guarded(copy))
    app.add_typer(features, name="features")


def build(
    name: Annotated[str, typer.Argument(help="Dataset, see `amiss datasets`; `folder` for your own videos.")],
    root: Annotated[Path, typer.Option(help="Folder of the data; for `folder`, the one with normal/ and anomalous/.")],
    out: Annotated[Path, typer.Option(help="Manifest to write.")] = Path("manifest.csv"),
    class_name: Annotated[str | None, typer.Option("--class", help="Only this class of anomalies.")] = None,
    fps: PictureFps = None,
) -> None:
    """Write the manifest of a dataset."""
    from amiss.jobs import build_manifest

    with console.progress("decode") as on_progress:
        report = build_manifest(name, root, out, class_name, fps, on_progress)
    for problem in report.problems:
        console.warn(str(problem))
    manifest = report.manifest
    counts = {split: len(manifest.split(split)) for split in ("train", "val", "test")}
    parts = ", ".join(f"{count} {split}" for split, count in counts.items() if count)
    anomalous = sum(video.label for video in manifest.videos)
    console.note(f"{out}: {console.counted(len(manifest.videos), 'video')} ({parts}), {anomalous} anomalous")


def check(
    manifest: Annotated[str, typer.Argument(help="Manifest to check.", metavar=PLACE)],
    features: Annotated[
        str | None, typer.Option(help="Feature set in which to look for copies, also re-encoded ones.", metavar=PLACE)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a manifest by decoding every video in it; shows splits, classes and lengths."""
    from amiss.jobs import check_manifest

    with console.progress("decode") as on_progress:
        report = check_manifest(manifest, features, on_progress)
    if as_json:
        console.print_json(report.to_dict())
    else:
        _print_classes(report.to_dict()["classes"])
    for problem in report.problems:
        (console.fail if problem.is_error else console.warn)(str(problem))
    n_warnings = len(report.problems) - report.n_errors
    counts = {"video": len(report.manifest.videos), "error": report.n_errors, "warning": n_warnings}
    console.note(", ".join(console.counted(number, what) for what, number in counts.items()))
    if report.n_errors:
        raise typer.Exit(1)


def _print_classes(classes: list[dict[str, Any]]) -> None:
    rows = [
        [row["split"], row["class_name"], row["videos"], *(_seconds(row[name]) for name in _LENGTHS), row["hours"]]
        for row in classes
    ]
    console.print_table(["split", "class", "videos", "shortest", "median", "longest", "hours"], rows)
    if unknown := sum(row["unknown"] for row in classes):
        console.note(
            f"of unknown length: {console.counted(unknown, 'video')}; the manifest has no frame counts or rates of them"
        )


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f} s"


def extract(
    targets: Targets,
    backbone: Annotated[str, typer.Option(help="Backbone, see `amiss backbones`; join with `+` to fuse.")],
    out: FeaturesOut,
    weights: Weights = None,
    crops: Annotated[int, typer.Option(help="Spatial views per clip: 1, 5 or 10.")] = 1,
    stride: Annotated[int | None, typer.Option(help="Frames between clip starts; default: the preset's.")] = None,
    frame_rate: Annotated[
        float | None, typer.Option(help="Frames per second that videos are resampled to; default: their own.")
    ] = None,
    preset: Preset = "default",
    logits: Annotated[
        bool, typer.Option("--logits", help="Class logits instead of features: 3D ResNets and DenseNets.")
    ] = False,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    compiled: Compiled = False,
    decoder: DecoderName = None,
    fps: PictureFps = None,
    cluster: Cluster = None,
    workers: Workers = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="CPU threads of each process; default: all, on a cluster 2. A network's last digits depend on it.",
            min=1,
        ),
    ] = None,
    metrics_port: MetricsPort = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it would take: work, time by a probe of 20 s, disk.")
    ] = False,
    price_per_hour: Annotated[
        float | None, typer.Option(help="With --plan: what a worker costs an hour, for the price of all.", min=0)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --plan: print JSON on stdout.")] = False,
) -> None:
    """Extract features of videos into a feature set."""
    from amiss.jobs import EngineChoice, extract_targets, plan_extraction

    decode_with(decoder)
    choice = EngineChoice(
        backbone=backbone,
        weights=weight_choice(weights),
        crops=crops,
        stride=stride,
        frame_rate=frame_rate,
        preset=preset,
        output="logits" if logits else "features",
        engine=engine,
        precision=precision,
        compiled=compiled,
        threads=threads,
    )
    if plan:
        with console.progress("look") as on_progress:
            planned = plan_extraction(
                targets,
                choice,
                out,
                workers=workers or 1,
                price_per_hour=price_per_hour,
                picture_fps=fps,
                on_note=console.note,
                on_progress=on_progress,
            )
        _print_plan(planned, as_json)
        return
    if price_per_hour is not None or as_json:
        raise UsageError("--price-per-hour and --json belong to --plan")
    from amiss.executors import serve_metrics

    with serve_metrics(metrics_port) as metrics, console.progress("extract") as on_progress:
        report = extract_targets(
            targets,
            choice,
            out,
            picture_fps=fps,
            cluster=cluster,
            workers=workers,
            metrics=metrics,
            on_start=lambda chosen: console.note(f"engine: {chosen.description}"),
            on_progress=on_progress,
        )
    console.finish(report, f"extracted to {out}")


def _print_plan(plan: "ExtractionPlan", as_json: bool) -> None:
    if as_json:
        console.print_json(plan.to_dict())
        return
    taken = "" if plan.looked_at >= plan.videos else f", by {plan.looked_at} that were looked at"
    workers = "1 worker" if plan.workers == 1 else f"{plan.workers} workers, if each is as fast as this machine"
    rows = [
        ["videos", f"{plan.videos}{taken}" + (f"; {plan.already_there} already there" if plan.already_there else "")],
        ["can't be read", str(plan.unreadable)],
        ["length", str(timedelta(seconds=round(3600 * plan.hours)))],
        ["clips", str(plan.clips)],
        [
            "one worker",
            "-" if plan.clips_per_s is None else f"{plan.clips_per_s:.3g} clips/s on this machine ({plan.engine})",
        ],
        ["time", f"{timedelta(seconds=round(plan.seconds))} with {workers}"],
        ["disk", decimal(plan.disk_bytes)],
    ]
    if plan.price is not None:
        rows.append(["price", f"{plan.price:.2f}"])
    console.print_table(["", "it takes"], rows)


def import_(
    path: Annotated[Path, typer.Argument(help="File or folder of features in another project's layout.")],
    out: FeaturesOut,
    layout: Annotated[
        str | None,
        typer.Option(
            help="c3d-codes, video-features, vggish, rtfm, wu, ekosman, sultani, csv, hdf5; recognised if left out."
        ),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="That made them; default: the one the layout is known for, by their length.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Of --backbone: an id (`amiss weights list`), or a file.")] = "default",
    preset: Annotated[str, typer.Option(help="Preprocessing of --backbone, see `amiss presets`.")] = "default",
    called: Annotated[
        str | None, typer.Option(help="Or the name of a network that amiss doesn't have, e.g. i3d-flow.")
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(help="Order of the axes, e.g. crops,clips,dim, or usual; recognised if left out."),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            help="names: of files; paths: below PATH, as ids of videos. Default: paths where names repeat or files are "
            "in normal/ and anomalous/."
        ),
    ] = None,
    streams: Annotated[
        str | None, typer.Option(help="video-features: rgb, flow or rgb,flow (concatenated); default: all.")
    ] = None,
) -> None:
    """Import features that other projects wrote."""
    from amiss.jobs import import_feature_set

    failed: dict[str, str] = {}
    count = import_feature_set(
        path,
        out,
        layout,
        backbone=backbone,
        weights=weights,
        preset=preset,
        called=called,
        axes=axes,
        ids=ids,
        streams=streams,
        on_failure=failed.__setitem__,
    )
    for problem in failed.values():
        console.fail(problem)
    console.note(f"{console.counted(count, 'video')} imported to {out}" + (f", {len(failed)} failed" if failed else ""))
    if failed:
        raise typer.Exit(1)


def export(
    features: FeatureFolder,
    layout: Annotated[str, typer.Option(help="rtfm, wu, ekosman, sultani, csv or hdf5.")],
    out: Annotated[Path, typer.Option(help="Folder to write, empty or new.")],
) -> None:
    """Export a feature set in the layout of another project."""
    from amiss.jobs import export_feature_set

    count = export_feature_set(features, layout, out)
    console.note(f"{console.counted(count, 'video')} exported to {out}")


def concat(
    features: Annotated[
        list[str], typer.Argument(help="Feature sets, two or more; rows and times are the first's.", metavar=PLACE)
    ],
    out: FeaturesOut,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of the videos, where sets of different rates don't say it."),
    ] = None,
) -> None:
    """Join feature sets of the same videos: RGB and flow, picture and sound, two backbones."""
    from amiss.jobs import concat_feature_sets

    with console.progress("concat") as on_progress:
        report = concat_feature_sets(features, out, fps=fps, on_progress=on_progress)
    console.finish(report, f"joined in {out}")


def check_features(
    features: FeatureFolder,
    other: Annotated[str | None, typer.Argument(help="Another feature set to compare it with.", metavar=PLACE)] = None,
    as_json: Json = False,
) -> None:
    """Check every file of a feature set; with another one, compare the two."""
    from amiss.jobs import check_feature_set

    check = check_feature_set(features, other)
    if as_json:
        console.print_json(check.to_dict())
    else:
        console.print_table(["field", "value"], list(check.summary.items()))
        if check.comparison:
            console.print_table(["comparison", "value"], list(check.comparison.items()))
    for message in check.problems:
        console.fail(message)
    if check.problems:
        raise typer.Exit(1)


def verify(
    features: FeatureFolder,
    sample: Annotated[
        int | None, typer.Option(help="Read so many videos, drawn anew each time; default: all.", min=1)
    ] = None,
    mend: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Take what is missing or damaged off the index, set its files aside, and put whole files into it.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare the files of a feature set with its index: all or some; repair it."""
    from amiss.jobs import verify_feature_set

    with console.progress("verify") as on_progress:
        found = verify_feature_set(features, sample, mend=mend, on_progress=on_progress)
    if as_json:
        console.print_json(found.to_dict())
    if found.repair is not None:
        for fault in found.repair.set_aside:
            console.warn(f"set aside: {fault.text}")
        for video_id in found.repair.added:
            console.note(f"in the index again: {video_id}")
    for text in found.faults:
        console.fail(text)
    checked = f"{found.n_checked} of {console.counted(found.n_videos, 'video')} checked"
    console.note(f"{checked}: {console.counted(len(found.faults), 'fault') if found.faults else 'all whole'}")
    if found.faults:
        raise typer.Exit(1)


def stats(features: FeatureFolder, as_json: Json = False) -> None:
    """What is in a feature set, by its index: videos, clips, hours, size. No features are read."""
    from amiss.jobs import feature_statistics

    found = feature_statistics(features)
    if as_json:
        console.print_json(found)
    else:
        console.print_table(["field", "value"], list(found.items()))


def copy(
    features: FeatureFolder,
    out: FeaturesOut,
    shard_mb: Annotated[
        int | None,
        typer.Option(
            help="Put many small videos into one file of about so many megabytes; default: a file each.", min=1
        ),
    ] = None,
) -> None:
    """Copy a feature set: to or from a store, into shards or out of them."""
    from amiss.jobs import copy_feature_set

    with console.progress("copy") as on_progress:
        copied = copy_feature_set(features, out, shard_mb, on_progress)
    for fault in copied.left_out:
        console.fail(fault.text)
    left_out = f", {len(copied.left_out)} left out" if copied.left_out else ""
    console.note(f"{console.counted(copied.count, 'video')} copied to {out}{left_out}")
    if copied.left_out:
        raise typer.Exit(1)
