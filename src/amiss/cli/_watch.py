"""Commands of the unattended service: watch, calibrate, alerts, config."""

import json
import math
import os
import signal
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Protocol

import typer

from amiss.cli import _console as console
from amiss.cli._log import logging_to_stderr
from amiss.cli._options import DecoderName, Json, PerHour, PictureFps, Threshold, decode_with
from amiss.errors import UsageError, VideoError

_OPEN_FILES = 65_536

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration (YAML), see `amiss config schema`.")]


class Stoppable(Protocol):
    """A service; both may be called from a signal handler."""

    def ask_to_stop(self) -> None:
        """End it."""

    def ask_to_reload(self) -> None:
        """Read its configuration again."""


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(console.guarded(watch))
    app.command()(console.guarded(calibrate))
    alerts = typer.Typer(help="Try the channels of a configuration.", no_args_is_help=True)
    alerts.command("test")(console.guarded(try_alerts))
    app.add_typer(alerts, name="alerts")
    config = typer.Typer(help="Check a configuration of `amiss watch`, or print its schema.", no_args_is_help=True)
    config.command("check")(console.guarded(check))
    config.command("schema")(console.guarded(schema))
    app.add_typer(config, name="config")


def watch(
    config: Annotated[Path | None, typer.Argument(help="Configuration (YAML), see `amiss config schema`.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End when all `replay:` files and folders are scored.")] = False,
    log: Annotated[Path | None, typer.Option(help="Append every score to this .csv or .jsonl.")] = None,
    preview: Annotated[
        str | None, typer.Option(metavar="CAMERA", help="Open this camera's live pictures in the browser.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Instead of a configuration: this file or folder of pictures, as if live.")
    ] = None,
    fps: PictureFps = None,
    detector: Annotated[
        Path | None, typer.Option(help="With --video: the detector directory; default: the one that comes with amiss.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="With --video: score these stored features, in step with the video.")
    ] = None,
    threshold: Threshold = None,
    per_hour: PerHour = None,
    out: Annotated[Path, typer.Option(help="With --video: folder for events, clips and snapshots.")] = Path("watch"),
    decoder: DecoderName = None,
) -> None:
    """Watch cameras unattended: scores, events with clips, alerts; SIGHUP reads the configuration again."""
    from amiss.watch import load_config, single_video

    decode_with(decoder)
    engine = None
    if config is not None:
        if video is not None or features is not None or detector is not None:
            raise UsageError("give a configuration, or --video, not both")
        if threshold is not None or per_hour is not None:
            raise UsageError("--threshold and --per-hour go with --video; a configuration has `alarm.on` per camera")
        settings = load_config(config)
    elif video is not None:
        folder = detector if detector is not None else console.shipped_detector()
        settings, engine = single_video(video, folder, features, out, threshold, per_hour, fps)
    else:
        raise UsageError("give a configuration, or --video FILE")
    if preview is not None and (preview not in settings.cameras or not settings.http.enabled):
        raise UsageError(f"--preview {preview}: it needs http.enabled, and one of {', '.join(settings.cameras)}")
    from amiss.watch import ScoreLog, WatchService  # with torch, which takes seconds

    allow_open_files()
    score_log = ScoreLog(log) if log is not None else None
    with logging_to_stderr():
        service = WatchService(settings, config, score_log=score_log, once=once or config is None, engine=engine)
        url = service.preview_url(preview) if preview is not None else None
        with signals(service):
            service.run(lambda: _show(url))
    if config is None:
        console.note(f"events, clips and pictures are in {out}")
    if (once or config is None) and service.problems:
        raise VideoError("; ".join(f"{name}: {problem}" for name, problem in service.problems.items()))


def allow_open_files() -> None:
    """Allow as many as this user may have: cameras and connections take some each, and the usual limit is low."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    if resource.RLIM_INFINITY != limit < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _show(url: str | None) -> None:
    if url is not None:
        console.note(f"live pictures: {url}")
        if not sys.platform.startswith("linux") or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
            webbrowser.open(url)  # without a display it might start a browser in this very terminal


def calibrate(
    per_hour: Annotated[float, typer.Option(help="False alarms an hour, at most.")],
    config: Annotated[Path | None, typer.Argument(help="Configuration (YAML) of the camera.")] = None,
    camera: Annotated[str | None, typer.Argument(help="Name of the camera.")] = None,
    hours: Annotated[float | None, typer.Option(help="Watch the camera for so long, while nothing happens.")] = None,
    video: Annotated[
        list[Path] | None,
        typer.Option(
            help="Normal footage instead, none that was trained on: a file or a folder; repeat it for more. "
            "Without a camera also a manifest, of which the normal test videos are taken."
        ),
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="Stored features of normal footage: all of them, or those of the videos.")
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="Without a camera: the detector whose threshold is looked for.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With --detector: write the detector with this threshold here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find a threshold from footage in which nothing happens: at most N false alarms an hour. Of a camera, or of a
    detector.
    """
    footage = bool(video) or features is not None
    if detector is not None:
        if config is not None or hours is not None or not footage:
            raise UsageError("with --detector give --video or --features, and neither a camera nor --hours")
        _calibrate_detector(detector, per_hour, video or [], features, out, as_json)
    elif config is None or camera is None:
        raise UsageError("give a configuration and the name of a camera in it, or --detector")
    elif (hours is not None) == footage or out is not None:
        raise UsageError(
            "give --hours, to watch the camera for so long, or normal footage of it, --video or --features; "
            "--out goes with --detector"
        )
    else:
        _calibrate_camera(config, camera, per_hour, hours, video or [], features, as_json)


def _calibrate_detector(
    detector: Path, per_hour: float, videos: list[Path], features: Path | None, out: Path | None, as_json: bool
) -> None:
    from dataclasses import asdict

    from amiss.jobs import calibrate_detector

    with console.progress("calibrate") as on_progress:
        found = calibrate_detector(detector, per_hour, videos, features=features, out=out, on_progress=on_progress)
    for video_id, problem in found.left_out.items():
        console.warn(f"left out: {video_id}: {problem}")
    if found.trained_on:
        named = f"{', '.join(found.trained_on[:3])}{', …' if len(found.trained_on) > 3 else ''}"
        console.warn(
            f"{len(found.trained_on)} of {len(found.videos)} videos are named like ones that the detector was trained "
            f"on ({named}); if they are the same, they score too low, and there will be more false alarms"
        )
    if as_json:
        console.print_json({**asdict(found.calibration), "videos": found.videos})
        return
    console.out.print(found.message, markup=False, soft_wrap=True)
    threshold = math.ceil(found.calibration.threshold * 10_000) / 10_000
    where = f"written to {out}" if out is not None else f"use it with `--threshold {threshold}`, or keep it with --out"
    console.note(where)


def _calibrate_camera(
    config: Path,
    camera: str,
    per_hour: float,
    hours: float | None,
    videos: list[Path],
    features: Path | None,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from amiss.watch import load_config

    settings = load_config(config)
    from amiss.watch import calibrate_camera  # with torch, which takes seconds

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: what was seen is used
    try:
        with logging_to_stderr(), console.progress("calibrate") as on_progress:
            found, path = calibrate_camera(
                settings, camera, per_hour, hours=hours, videos=videos, features=features, on_progress=on_progress
            )
    finally:
        signal.signal(signal.SIGTERM, before)
    if as_json:
        console.print_json(asdict(found.calibration))
    else:
        console.out.print(f"{camera}: {found.message}", markup=False, soft_wrap=True)
        console.note(
            f"written to {path}, used by `amiss watch` from its next start or reload on, unless `alarm.on` is set"
        )


def try_alerts(
    config: ConfigFile,
    channel: Annotated[str | None, typer.Argument(help="Only this channel.")] = None,
) -> None:
    """Send a test message to the channels; exit code 1 where one didn't take it."""
    from amiss.watch import load_config, send_test

    failed = False
    for name, problem in send_test(load_config(config), channel):
        if problem is None:
            console.out.print(f"{name}: taken", markup=False)
        else:
            failed = True
            console.fail(f"{name}: {problem}")
    if failed:
        raise typer.Exit(1)


def check(config: ConfigFile) -> None:
    """Name every mistake in a configuration with its line; nothing is connected or written."""
    from amiss.watch import read_config

    read, problems = read_config(config)
    for problem in problems:
        console.fail(f"{config}: {problem}")
    if read is None:
        raise typer.Exit(1)
    counts = {
        "camera": len(read.cameras),
        "channel": len(read.channels),
        "rule": len(read.rules),
    }
    said = ", ".join(console.counted(n, what) for what, n in counts.items())
    console.out.print(f"{config}: {said}", markup=False, soft_wrap=True)


def schema() -> None:
    """Print the JSON schema of a configuration, for editors."""
    from amiss.watch import Config

    sys.stdout.write(json.dumps(Config.model_json_schema(), indent=2) + "\n")


@contextmanager
def signals(service: Stoppable) -> Iterator[None]:
    """SIGTERM, Ctrl-C and Windows' Ctrl-Break stop gracefully, SIGHUP reads the configuration again."""
    actions = {signal.SIGTERM: service.ask_to_stop, signal.SIGINT: service.ask_to_stop}
    for name, action in (("SIGBREAK", service.ask_to_stop), ("SIGHUP", service.ask_to_reload)):
        if (number := getattr(signal, name, None)) is not None:  # Windows has the first, others the second
            actions[number] = action
    before = {number: signal.signal(number, lambda *_, action=action: action()) for number, action in actions.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
