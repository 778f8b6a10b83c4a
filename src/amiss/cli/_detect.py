"""Commands for users of a detector: detect, report, demo."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amiss.cli import _console as console
from amiss.cli._options import (
    PLACE,
    Cluster,
    Compiled,
    DecoderName,
    EngineName,
    Json,
    MetricsPort,
    PerHour,
    Precision,
    Threshold,
    Workers,
    decode_with,
)
from amiss.errors import UsageError

if TYPE_CHECKING:
    from amiss.detection import ScoreResult
    from amiss.jobs import PageReport

Preview = Annotated[
    bool, typer.Option("--preview", help="Small copies, <video_id>.preview.mp4, of videos that browsers don't play.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(console.guarded(demo))
    app.command()(console.guarded(detect))
    app.command()(console.guarded(report))


def detect(
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            help="Video files, folders of pictures or videos, or a manifest.csv; paths or URLs.", metavar=PLACE
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(help="Detector directory, e.g. RUN/selected; default: the small one that comes with amiss."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for <video_id>.json, .csv and the outputs below.")] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Figure of the score curve, <video_id>.png.")] = False,
    annotate: Annotated[bool, typer.Option("--annotate", help="Marked video, <video_id>.annotated.mp4.")] = False,
    clips: Annotated[bool, typer.Option("--clips", help="Events cut out, <video_id>.event01.mp4 …")] = False,
    page: Annotated[bool, typer.Option("--report", help="A page on which to look at all of it, report.html.")] = False,
    preview: Preview = False,
    features: Annotated[
        str | None, typer.Option(help="Score these stored features instead of the videos.", metavar=PLACE)
    ] = None,
    threshold: Threshold = None,
    per_hour: PerHour = None,
    weights: Annotated[Path | None, typer.Option(help="File of the backbone's weights, if not found by name.")] = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    compiled: Compiled = False,
    decoder: DecoderName = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Frames per second of folders of numbered pictures; with --features, of videos whose rate is unknown.",
            min=1e-3,
        ),
    ] = None,
    cluster: Cluster = None,
    workers: Workers = None,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
) -> None:
    """Score videos: when does something anomalous happen?"""
    from amiss.executors import serve_metrics
    from amiss.jobs import DetectOutputs, detect_targets

    decode_with(decoder)
    if out is None and (plot or annotate or clips or page):
        raise UsageError("--plot, --annotate, --clips and --report need --out, the folder to write to")
    if preview and not page:
        raise UsageError("--preview belongs to --report")
    results: dict[str, ScoreResult] = {}
    pages: list[PageReport] = []
    report = None
    try:
        with serve_metrics(metrics_port) as metrics, console.progress("detect") as on_progress:
            report = detect_targets(
                videos or [],
                detector if detector is not None else console.shipped_detector(),
                out=out,
                outputs=DetectOutputs(plot=plot, annotate=annotate, clips=clips, page=page, previews=preview),
                features=features,
                threshold=threshold,
                per_hour=per_hour,
                weights=weights,
                engine=engine,
                precision=precision,
                compiled=compiled,
                fps=fps,
                cluster=cluster,
                workers=workers,
                metrics=metrics,
                on_progress=on_progress,
                on_result=results.__setitem__,
                on_page=pages.append,
            )
    finally:  # what is done is told though a disk is full or Ctrl-C ends it
        if report is not None:  # workers finish videos in another order
            results = {video_id: results[video_id] for video_id in [*report.done, *results]}
        if as_json and (results or report):
            console.print_json([result.to_dict() for result in results.values()])
        elif not as_json:
            for video_id, result in results.items():
                _print_summary(video_id, result)
    for written in pages:
        _tell_page(written, told=report.failed)
    console.finish(report, "scored" + (f", written to {out}" if out else ""))


def report(
    results: Annotated[Path, typer.Argument(help="Folder that `amiss detect --out` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Page to write; default: report.html in the folder.")] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos, if they aren't where they were.")] = None,
    preview: Preview = False,
) -> None:
    """Write a page on which to look at results: videos, score over time, events, and what other thresholds find."""
    from amiss.jobs import report_results

    with console.progress("preview") as on_progress:
        written = report_results(results, out=out, videos=videos, preview=preview, on_progress=on_progress)
    _tell_page(written)


def _tell_page(written: "PageReport", told: Collection[str] = ()) -> None:
    """What the page can't show, but for what is told elsewhere, and where it is."""
    for name, problem in written.problems.items():
        if name not in told:
            console.warn(f"{name}: {problem}")
    if written.absent:
        console.note(f"{_some(written.absent)} not at hand: `amiss report --videos FOLDER` tells where they are")
    if written.unplayed:
        forms = ", ".join(dict.fromkeys(written.unplayed.values()))
        console.note(f"{_some(list(written.unplayed))} of a form that few browsers play ({forms}): see --preview")
    console.note(f"look at {written.page}")


def _some(names: list[str]) -> str:
    return f"1 video ({names[0]}) is" if len(names) == 1 else f"{len(names)} videos (such as {names[0]}) are"


def _print_summary(video_id: str, result: "ScoreResult") -> None:
    clock = _clock if result.fps is not None else "{:.6g}".format
    events = ", ".join(
        f"{clock(e.start_s)}-{clock(e.end_s)} ({f'{e.class_name} ' if e.class_name else ''}{e.score:.2f})"
        for e in result.events
    )
    duration = clock(result.duration_s) + (" clips" if result.fps is None else "")
    console.out.print(f"{video_id}  {duration}  peak {result.peak:.3f}  {events or 'no event'}", markup=False)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Same seed, same numbers.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Draw videos, learn from their labels, find the anomalies: everything once, in three minutes."""
    from amiss.demo import run_demo

    with console.progress("demo") as on_progress:
        result = run_demo(out, seed, on_progress)
    if as_json:
        console.print_json(result.table)
        return
    console.print_table(["", "value"], list(result.table.items()))
    console.note(f"look at {out / 'report.html'}")
