"""`amiss watch` under load: eight RTSP cameras for half an hour; cameras that two cores hold; false alarms; the gate.

    AMISS_SHARED=… python benchmarks/watch.py cameras --out DIR [--minutes 30]
    python benchmarks/watch.py capacity --out DIR [BACKBONE …]
    AMISS_SHARED=… python benchmarks/watch.py false-alarms --out DIR [--hours 1]
    AMISS_SHARED=… python benchmarks/watch.py gate --out DIR
    python benchmarks/watch.py soak --out DIR [--hours 1] [--seed 0]

`cameras` serves UCSD Ped2, surveillance fights and two ordinary clips (intel-iot-devkit/sample-videos) in a loop from
GStreamer's RTSP server (tests/helpers/rtsp_server.py, under the system's python3) and watches them with a detector
trained on Ped2 (weak split, `motion`, `topk`). `capacity` scores 640x360 video in four cameras as fast as it
goes; weights are random, which doesn't change the speed; what counts is processor time, which other work on the
machine disturbs less
than the clock. `false-alarms` calibrates the three kinds of normal footage, watches them looped for an hour of their
own time, and counts; then again calibrated on one half and watching the other. `gate` counts the clips that the
stillness gate spares, by its default settings, and what the Ped2 detector's scores differ by; a made scene in which
nothing moves, with noise as of a sensor, stands for what it is meant for.
`soak` injects faults at random while three cameras and a folder are watched, and holds events and alerts against what
the cameras showed. It ends with exit code 1 where a promise of docs/explanations/faults.md was broken.
"""

import argparse
import json
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import numpy as np

from amiss.backbones import create_backbone
from amiss.datasets import build_dataset
from amiss.detection import Calibration, Detector, Normalisation, causal_offline_scores
from amiss.engines import create_engine
from amiss.features import open_feature_set
from amiss.files import write_json, write_text
from amiss.heads import create_head
from amiss.jobs import extract
from amiss.training import load_recipe, train
from amiss.video import GateSettings, StillnessGate, VideoReader, VideoWriter, iter_clips
from amiss.yaml import write_yaml
from soak import print_result, run_soak

AMISS = [sys.executable, "-m", "amiss"]
PORT, RTSP_PORT = 8791, 8792
SAMPLE_S = 10.0
WARM_UP_S = 300.0
TICKS = os.sysconf("SC_CLK_TCK")
CPUS = 2


def shared_data() -> Path:
    if "AMISS_SHARED" not in os.environ:
        raise SystemExit("set AMISS_SHARED to the folder that holds data/")
    return Path(os.environ["AMISS_SHARED"]).resolve() / "data"


def ped2_detector(out: Path) -> Path:
    """Trained on Ped2's weak split, once."""
    run = out / "run"
    if not (run / "selected" / "detector.json").exists():
        manifest = build_dataset("ucsd-ped2", shared_data() / "ucsd_ped2").manifest
        videos = {video.video_id: video.path for video in manifest.videos if video.path is not None}
        extract(videos, create_engine(create_backbone("motion", "none")), out / "features")
        shutil.rmtree(run, ignore_errors=True)
        train(load_recipe("topk", []), manifest, open_feature_set(out / "features"), run, seed=0)
    return run / "selected"


def join(videos: Sequence[Path], path: Path) -> Path:
    """One H.264 file of several videos of one size, one after the other."""
    if path.exists():
        return path
    with VideoReader(videos[0]) as first:
        fps, width, height = first.fps, first.width, first.height
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps, width, height) as writer:
        for video in videos:
            with VideoReader(video) as reader:
                for frame in reader:
                    writer.write(frame.image)
    return path


def eight_cameras(out: Path) -> dict[str, Path]:
    data, folder = shared_data(), out / "videos"
    ped2 = sorted((data / "ucsd_ped2" / "videos").glob("*.mp4"))
    tests, normal = [p for p in ped2 if p.name.startswith("Test")], [p for p in ped2 if p.name.startswith("Train")]
    fights = sorted((data / "surveillance_fights" / "videos").glob("fi0*.mp4"))
    sizes: dict[tuple[int, int, float], list[Path]] = {}
    for video in fights:
        with VideoReader(video) as reader:
            sizes.setdefault((reader.width, reader.height, reader.fps), []).append(video)
    groups = sorted(sizes.values(), key=len, reverse=True)[:3]
    clips = sorted((data / "clips").glob("*.mp4"))
    return {
        "ped2-a": join(tests[:4], folder / "ped2-a.mp4"),
        "ped2-b": join(tests[4:8], folder / "ped2-b.mp4"),
        "ped2-normal": join(normal[:8], folder / "ped2-normal.mp4"),
        **{f"fights-{i}": join(group[:8], folder / f"fights-{i}.mp4") for i, group in enumerate(groups)},
        "parking": clips[0],
        "people": clips[1],
    }


@contextmanager
def rtsp_server(files: Mapping[str, Path]) -> Iterator[str]:
    server = Path(__file__).parents[1] / "tests" / "helpers/rtsp_server.py"
    command = ["/usr/bin/python3", str(server), str(RTSP_PORT), *(f"{name}={path}" for name, path in files.items())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("the RTSP server doesn't start")
        yield f"rtsp://127.0.0.1:{RTSP_PORT}"
    finally:
        process.kill()
        process.wait()


def new_config(folder: Path, config: Mapping[str, Any]) -> Path:
    """A configuration in a folder that has nothing else in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = folder / "watch.yaml"
    file.write_text(write_yaml({**config, "http": {"port": PORT}}))
    return file


@contextmanager
def watcher(file: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    folder = file.parent
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen([*AMISS, "watch", str(file), *options], stderr=log)
        try:
            until = time.monotonic() + 120
            while not get("/health/live"):
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"amiss watch doesn't start, see {folder / 'log.txt'}")
                time.sleep(0.2)
            yield process
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def get(path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body
    except OSError:
        return b""


def cameras_now() -> list[dict[str, Any]]:
    cameras: list[dict[str, Any]] = json.loads(get("/api/cameras") or b"[]")
    return cameras


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def rows(database: Path, query: str) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(query).fetchall()


def quantiles(values: Sequence[float]) -> dict[str, float | int]:
    if not values:
        return {"n": 0}
    return {
        "n": len(values),
        "p50": round(float(np.quantile(values, 0.5)), 3),
        "p95": round(float(np.quantile(values, 0.95)), 3),
        "largest": round(max(values), 3),
    }


def slope_per_hour(times_s: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Least squares slope per hour, and its standard error (samples taken for independent)."""
    x, y = np.asarray(times_s) / 3600, np.asarray(values)
    if len(x) < 3:
        return float("nan"), float("nan")
    x = x - x.mean()
    slope = float((x * y).sum() / (x * x).sum())
    residual = y - y.mean() - slope * x
    return slope, float(np.sqrt((residual**2).sum() / (len(x) - 2) / (x * x).sum()))


def run_cameras(out: Path, minutes: float) -> dict[str, Any]:
    files, detector = eight_cameras(out), ped2_detector(out)
    rates = {}
    for name, path in files.items():
        with VideoReader(path) as reader:
            rates[name] = reader.fps
    folder = out / "cameras"
    with rtsp_server(files) as address:
        config = {
            "detector": str(detector.resolve()),
            "defaults": {"alarm": {"smoothing_s": 1.0}},
            "cameras": {name: {"url": f"{address}/{name}"} for name in files},
        }
        samples = []
        with watcher(new_config(folder, config), "--log", str(folder / "scores.jsonl")) as process:
            began, cpu_began = time.monotonic(), cpu_s(process.pid)
            while (passed := time.monotonic() - began) < minutes * 60:
                samples.append((passed, rss_mb(process.pid)))
                print(f"{passed:.0f} s, {samples[-1][1]:.0f} MB", flush=True)
                time.sleep(SAMPLE_S)
            cameras = cameras_now()
            write_text(folder / "metrics.txt", get("/metrics").decode())
            passed = time.monotonic() - began
            used_s = cpu_s(process.pid) - cpu_began
    events = rows(folder / "amiss.db", "select camera, started, saved, clip, problem from events")
    clip_s = {name: 16 / fps for name, fps in rates.items()}

    def latency_s(event: sqlite3.Row) -> float:
        saved, started = (datetime.fromisoformat(event[name]) for name in ("saved", "started"))
        return (saved - started).total_seconds()

    steady = [(t, mb) for t, mb in samples if t >= min(WARM_UP_S, minutes * 20)]
    slope, error = slope_per_hour([t for t, _ in steady], [mb for _, mb in steady])
    frames = sum(camera["frames"] for camera in cameras)
    return {
        "minutes": round(passed / 60, 1),
        "cameras": len(cameras),
        "frames": frames,
        "frames_per_s": round(frames / passed, 1),
        "frames_dropped": sum(camera["dropped_frames"] for camera in cameras),
        "clips_dropped": sum(camera["dropped_clips"] for camera in cameras),
        "reconnects": sum(camera["reconnects"] for camera in cameras),
        "worker_restarts": sum(camera["restarts"] for camera in cameras),
        "scores": sum(camera["scores"] for camera in cameras),
        "events": len(events),
        "events_without_clip": sum(event["clip"] is None for event in events),
        "first_frame_to_row_s": quantiles([latency_s(event) for event in events]),
        "clip_end_to_row_s": quantiles([latency_s(event) - clip_s[event["camera"]] for event in events]),
        "rss_mb_first_last": [round(samples[0][1]), round(samples[-1][1])],
        "rss_mb_per_hour": round(slope, 2),
        "rss_mb_per_hour_error": round(error, 2),
        "cpu_share_per_camera": round(used_s / passed / len(cameras), 4),
        "cpu_share_per_25_fps": round(used_s / frames * 25, 4),
    }


def untrained_detector(backbone: str, folder: Path) -> Path:
    engine_spec = create_backbone(backbone, "none" if backbone == "motion" else "random").spec
    head = create_head("topk", engine_spec.dim).eval()
    Detector(engine_spec, head, Normalisation("l2"), Calibration(1.0, "by hand", 0)).save(folder)
    return folder


def run_capacity(out: Path, backbone: str, seconds: float, cameras: int = 4) -> dict[str, Any]:
    """Processor time per second of 25 fps video, at 640x360."""
    rng = np.random.default_rng(0)
    video = out / "moving.mp4"
    if not video.exists():
        out.mkdir(parents=True, exist_ok=True)
        ground = np.kron(rng.integers(60, 160, (45, 80, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
        with VideoWriter(video, 25, 640, 360) as writer:
            for i in range(500):
                image = ground.copy()
                image[100:260, (4 * i) % 560 : (4 * i) % 560 + 80] = 230
                writer.write(image)
    folder = out / f"capacity-{backbone}"
    config = {
        "detector": str(untrained_detector(backbone, out / f"detector-{backbone}").resolve()),
        "cameras": {f"c{i}": {"url": f"replay:{video.resolve()}?loop=1&speed=0"} for i in range(cameras)},
    }
    with watcher(new_config(folder, config)) as process:
        while sum(camera["scores"] for camera in cameras_now()) < 2 * cameras:
            time.sleep(0.5)
        began, cpu_began = time.monotonic(), cpu_s(process.pid)
        scores_began = sum(camera["scores"] for camera in cameras_now())
        time.sleep(seconds)
        scores = sum(camera["scores"] for camera in cameras_now()) - scores_began
        passed, used_s = time.monotonic() - began, cpu_s(process.pid) - cpu_began
        memory = rss_mb(process.pid)
    video_s = scores * 16 / 25
    return {
        "backbone": backbone,
        "cpu_share_per_camera": round(used_s / video_s, 4),
        "cameras_on_two_cores_by_cpu": int(CPUS * video_s / used_s),
        "cameras_by_clock": round(video_s / passed, 1),
        "cores_used": round(used_s / passed, 2),
        "rss_mb": round(memory),
    }


def run_false_alarms(out: Path, hours: float, per_hour: float) -> list[dict[str, Any]]:
    data, folder, detector = shared_data(), out / "videos", ped2_detector(out)
    normal = [p for p in sorted((data / "ucsd_ped2" / "videos").glob("*.mp4")) if p.name.startswith("Train")]
    whole = {clip.stem: clip for clip in sorted((data / "clips").glob("*.mp4"))}
    whole["ped2-normal"] = join(normal, folder / "ped2-all-normal.mp4")
    results = []
    for split in ("whole", "halves"):
        for name, video in whole.items():
            seen, new = (video, video) if split == "whole" else halves(video, folder)
            results.append({"footage": name, "split": split, **false_alarms(out, detector, seen, new, hours, per_hour)})
            print(json.dumps(results[-1]), flush=True)
    return results


def halves(video: Path, folder: Path) -> tuple[Path, Path]:
    parts = folder / f"{video.stem}-first.mp4", folder / f"{video.stem}-second.mp4"
    if not parts[1].exists():
        with VideoReader(video) as reader:
            frames = [frame.image for frame in reader]
            for part, images in zip(parts, (frames[: len(frames) // 2], frames[len(frames) // 2 :]), strict=True):
                with VideoWriter(part, reader.fps, reader.width, reader.height) as writer:
                    for image in images:
                        writer.write(image)
    return parts


def loop(video: Path, path: Path, seconds: float) -> Path:
    """The video again and again for so long, as one recording, without encoding it anew."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        given = source.streams.video[0]
        copied = target.add_stream_from_template(given)
        assert given.time_base is not None
        assert given.average_rate is not None
        length = round(given.frames / given.average_rate / given.time_base)
        for turn in range(math.ceil(seconds / float(length * given.time_base))):
            source.seek(0)
            for packet in source.demux(given):
                if packet.dts is not None and packet.pts is not None:
                    packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                    packet.stream = copied
                    target.mux(packet)
    return path


def false_alarms(out: Path, detector: Path, seen: Path, new: Path, hours: float, per_hour: float) -> dict[str, Any]:
    """Calibrate on `seen` looped for `hours`, then watch `new` looped for as long, as fast as it goes."""
    files = [loop(video, out / "videos" / f"{video.stem}-looped.mp4", hours * 3600) for video in (seen, new)]
    config = {
        "detector": str(detector.resolve()),
        "defaults": {"record": {"enabled": False}},
        "cameras": {"camera": {"url": f"replay:{files[1]}?speed=0"}},
    }
    file = new_config(out / "false-alarms", config)
    options = ["--per-hour", str(per_hour), "--video", str(files[0]), "--json"]
    calibrate = subprocess.run([*AMISS, "calibrate", str(file), "camera", *options], check=True, capture_output=True)
    found = json.loads(calibrate.stdout)
    log = file.parent / "scores.jsonl"
    subprocess.run([*AMISS, "watch", str(file), "--once", "--log", str(log)], check=True, capture_output=True)
    times = [datetime.fromisoformat(json.loads(line)["time"]) for line in log.read_text().splitlines()]
    watched_h = (times[-1] - times[0]).total_seconds() / 3600
    alarms = len(rows(file.parent / "amiss.db", "select event_id from events"))
    for looped in files:
        looped.unlink(missing_ok=True)
    return {
        "calibrated_hours": round(found["hours"], 2),
        "threshold": round(found["threshold"], 4),
        "alarms_calibrated": found["alarms"],
        "upper_per_hour": round(found["upper_per_hour"], 2),
        "watched_hours": round(watched_h, 2),
        "alarms": alarms,
        "within": alarms <= found["upper_per_hour"] * watched_h,
    }


def noise_scene(path: Path, n_frames: int = 124 * 16) -> Path:
    """A textured scene in which nothing moves, with normal noise of 3 grey levels."""
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(60, 160, (30, 40, 3)), np.ones((8, 8, 1)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 25, 320, 240) as writer:
        for _ in range(n_frames):
            writer.write(np.clip(ground + rng.normal(0, 3, ground.shape), 0, 255).astype(np.uint8))
    return path


def run_gate(out: Path) -> list[dict[str, Any]]:
    """What the gate spares, and what that does to the scores."""
    data = shared_data()
    videos = {clip.stem: [clip] for clip in sorted((data / "clips").glob("*.mp4"))}
    ped2 = sorted((data / "ucsd_ped2" / "videos").glob("*.mp4"))
    videos["ped2-normal"] = [p for p in ped2 if p.name.startswith("Train")]
    videos["ped2-test"] = [p for p in ped2 if p.name.startswith("Test")]
    videos["fights"] = sorted((data / "surveillance_fights" / "videos").glob("fi0*.mp4"))[:10]
    videos["still scene with noise"] = [noise_scene(out / "videos" / "noise.mp4")]
    detector = Detector.load(ped2_detector(out))
    engine = create_engine(create_backbone("motion", "none"))
    results = []
    for name, files in videos.items():
        n_clips = n_spared = 0
        gate_s, changes = 0.0, []
        for file in files:
            gate = StillnessGate(GateSettings())
            own: list[np.ndarray] = []
            gated: list[np.ndarray] = []
            with VideoReader(file) as reader:
                for clip in iter_clips(reader, detector.spec.clip_len, detector.spec.stride, detector.spec.tail):
                    began = time.process_time()
                    is_still = gate.is_still(clip.images, clip.start / reader.fps)
                    gate_s += time.process_time() - began
                    own.append(engine.run([engine.prepare(clip.images)])[0])
                    gated.append(gated[-1] if is_still else own[-1])
                    n_spared += is_still
            n_clips += len(own)
            scores = [causal_offline_scores(detector, np.stack(features)) for features in (own, gated)]
            changes.append(np.abs(scores[1] - scores[0]))
        change = np.concatenate(changes)
        results.append(
            {
                "footage": name,
                "videos": len(files),
                "clips": n_clips,
                "spared": n_spared,
                "share_spared": round(n_spared / n_clips, 3),
                "gate_ms_per_clip": round(1000 * gate_s / n_clips, 2),
                "score_change_mean": round(float(change.mean()), 4),
                "score_change_largest": round(float(change.max()), 3),
            }
        )
        print(json.dumps(results[-1]), flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("cameras", "capacity", "false-alarms", "gate", "soak"))
    parser.add_argument("backbones", nargs="*", default=["motion", "r3d_18", "s3d"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--per-hour", type=float, default=3)
    parser.add_argument("--seconds", type=float, default=60, help="of measuring a backbone's capacity")
    parser.add_argument("--seed", type=int, default=0, help="of the faults of a soak")
    given = parser.parse_args()
    out: Path = given.out.resolve()
    result: Any
    if given.what == "cameras":
        result = run_cameras(out, given.minutes)
    elif given.what == "capacity":
        result = [run_capacity(out, backbone, given.seconds) for backbone in given.backbones]
    elif given.what == "gate":
        result = run_gate(out)
    elif given.what == "soak":
        result = run_soak(out, given.hours, given.seed)
        print_result(result)
    else:
        result = run_false_alarms(out, given.hours, given.per_hour)
    write_json(out / f"{given.what}.json", result)
    if given.what != "soak":
        print(json.dumps(result, indent=2))
    elif result["broken"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
