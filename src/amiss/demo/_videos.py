"""The demo set: small drawn videos that look like surveillance cameras', with and without something amiss."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from amiss.datasets import Manifest, Split, Video, write_manifest
from amiss.demo._actors import Puff
from amiss.demo._anomalies import start_event
from amiss.demo._daily_life import Stage, daily_life, populate
from amiss.demo._drawing import FPS, HEIGHT, WIDTH, Image, Rng, Scene, Sprite, fill
from amiss.demo._places import make_scene
from amiss.video import VideoWriter

# Kind of place and anomaly; each row is one place with two videos, one with the anomaly and one without.
# Every third place is seen at night.
TRAIN_PLACES = [
    ("street", "running"),
    ("plaza", "fighting"),
    ("yard", "blast"),
    ("corridor", "falling"),
    ("parking", "intrusion"),
    ("plaza", "running"),
    ("street", "fighting"),
    ("yard", "intrusion"),
    ("plaza", "falling"),
    ("corridor", "running"),
    ("street", "blast"),
    ("parking", "fighting"),
    ("yard", "running"),
    ("corridor", "fighting"),
    ("parking", "intrusion"),
    ("plaza", "blast"),
    ("street", "falling"),
    ("yard", "intrusion"),
]
TEST_PLACES = [
    ("street", "fighting"),
    ("plaza", "running"),
    ("parking", "blast"),
    ("plaza", "falling"),
    ("yard", "intrusion"),
    ("corridor", "fighting"),
    ("street", "running"),
    ("parking", "intrusion"),
]
UNSEEN = ("plaza", "blast")
N_FRAMES = (120, 161)


@dataclass(frozen=True)
class _Shot:
    """One video to draw."""

    path: Path
    video: Video
    scene: Scene
    event: str | None
    rng: Rng


@dataclass(frozen=True)
class DemoSet:
    """What `make_demo_set` drew."""

    manifest: Manifest
    unseen: Video
    """One more video, in no split: for showing what a detector makes of it."""


def make_demo_set(folder: Path, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> DemoSet:
    """Draw the demo set: `folder/videos/*.mp4`, `folder/manifest.csv` and `folder/unseen.mp4`.

    Training videos with video-level labels and test videos with frame-level events, 320x240 at 12 frames per second,
    10 to 13 seconds each. Every place (`group`) has one normal and one anomalous video, so that the place tells
    nothing. The same seed draws the same frames.

    Args:
        folder: made if missing; videos of an earlier run are replaced.
        seed: of everything random.
        progress: called with (videos done, videos in all).

    Raises:
        OutputError: a file can't be written.
    """
    folder = Path(folder)
    videos = []
    total = 2 * (len(TRAIN_PLACES) + len(TEST_PLACES)) + 1
    for done, shot in enumerate(_shots(folder, seed)):
        events: list[bool] = []
        with VideoWriter(shot.path, FPS, WIDTH, HEIGHT) as writer:
            for image, anomalous in draw_video(shot.scene, shot.event, shot.rng):
                writer.write(image)
                events.append(anomalous)
        spans = _intervals(events) if shot.video.split == "test" else ()
        videos.append(replace(shot.video, path=shot.path.resolve(), n_frames=len(events), events=spans))
        if progress is not None:
            progress(done + 1, total)
    *videos, unseen = videos
    manifest = Manifest(
        tuple(sorted(videos, key=lambda video: video.split != "train")), source=str(folder / "manifest.csv")
    )
    write_manifest(manifest, folder / "manifest.csv")
    return DemoSet(manifest, unseen)


def _shots(folder: Path, seed: int) -> Iterator[_Shot]:
    """All videos in order, each with a random generator of its own; the two of one place follow each other."""
    places: list[tuple[Split, str, str]] = [("train", *place) for place in TRAIN_PLACES]
    places += [("test", *place) for place in TEST_PLACES]
    for number, (split, kind, event) in enumerate(places):
        group = f"{kind}{number + 1:02d}"
        scene = make_scene(kind, np.random.default_rng([seed, number]), night=number % 3 == 2)
        for label, name in ((1, event), (0, "normal")):
            video_id = f"{split}_{group}_{name}"
            video = Video(video_id=video_id, split=split, label=label, class_name=name, fps=FPS, group=group)
            rng = np.random.default_rng([seed, number, label])
            yield _Shot(folder / "videos" / f"{video_id}.mp4", video, scene, event if label else None, rng)
    scene = make_scene(UNSEEN[0], np.random.default_rng([seed, len(places)]), night=False)
    scene.pace *= 0.6  # quiet, so that the picture of it tells its story
    video = Video(video_id="unseen", split="test", label=1, class_name=UNSEEN[1], fps=FPS)
    yield _Shot(folder / "unseen.mp4", video, scene, UNSEEN[1], np.random.default_rng([seed, len(places), 1]))


def draw_video(scene: Scene, event: str | None, rng: Rng) -> Iterator[tuple[Image, bool]]:
    """Draw one video: frames uint8 RGB `[H, W, 3]`, each with whether the anomaly can be seen in it."""
    n_frames = int(rng.integers(*N_FRAMES))
    stage = Stage(scene, rng)
    populate(stage, n_frames)
    if event is not None:
        length = int(n_frames * rng.uniform(0.22, 0.3))
        start_event(stage, event, int(rng.uniform(0.28, 0.6) * n_frames), length)
    gains, camera = _exposure(scene, rng, n_frames), _Sensor(scene, rng)
    for index in range(n_frames):
        daily_life(stage, index)
        stage.step()
        yield camera.take(stage, index, gains[index]), stage.anomaly_visible()


def _exposure(scene: Scene, rng: Rng, n_frames: int) -> list[float]:
    """Brightness of each frame: passing clouds, a hunting automatic exposure, flickering lamps."""
    frames = np.arange(n_frames)
    gain = rng.uniform(1.12, 1.3) + rng.uniform(0.0, 0.05) * np.sin(
        frames / FPS * rng.uniform(0.3, 1.2) + rng.uniform(0, 6)
    )
    if rng.random() < 0.4 and scene.name != "corridor":  # a cloud comes or goes
        middle, width = rng.uniform(0.2, 0.8) * n_frames, rng.uniform(3, 14)
        gain += rng.choice([-1, 1]) * rng.uniform(0.08, 0.18) / (1 + np.exp(-(frames - middle) / width))
    if rng.random() < 0.3:  # the exposure steps
        gain[int(rng.uniform(0.1, 0.9) * n_frames) :] *= rng.uniform(0.86, 1.12)
    if scene.flicker:
        gain *= 1 - scene.flicker * (rng.random(n_frames) < 0.25) * rng.random(n_frames)
    return [float(value) for value in np.clip(gain, 0.7, 1.6)]


class _Sensor:
    """Lens, sensor and clock of one camera."""

    def __init__(self, scene: Scene, rng: Rng) -> None:
        self.rng = rng
        grain = rng.standard_normal((6, HEIGHT + 32, WIDTH + 32, 1 if scene.grey else 3), np.float32) * scene.noise
        self.noise = np.repeat(grain, 3 if scene.grey else 1, axis=3).astype(np.int16)
        hour = 20 if scene.night else 8
        self.clock = datetime(2024, 1, 1) + timedelta(
            days=int(rng.integers(360)), hours=hour, seconds=int(rng.integers(9 * 3600))
        )
        self.title = f"CAM {int(rng.integers(1, 16)):02d}  {scene.name.upper()}"

    def take(self, stage: Stage, index: int, gain: float) -> Image:
        """Draw what the camera sees of the stage now."""
        scene = stage.scene
        frame = scene.background.copy()
        self._shadows(frame, stage)
        things = sorted([*stage.actors, *scene.sprites], key=lambda thing: -thing.z)
        occupied = False  # what stands behind the farthest actor is in the background already
        for thing in things:
            if isinstance(thing, Sprite):
                if occupied:
                    thing.paste(frame)
            elif thing.z > 2.5 and not thing.hidden:
                occupied = True
                thing.draw(frame, scene.camera)
        cv2.GaussianBlur(frame, (3, 3), 0.6, dst=frame)
        cv2.multiply(frame, scene.light, dst=frame, scale=(gain + 0.6 * stage.flash) / 255)
        if stage.flash:
            cv2.addWeighted(frame, 1.0, np.full_like(frame, (255, 236, 190)), 0.45 * stage.flash, 0, dst=frame)
        if scene.grey:
            frame[:] = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[:, :, None]
        y, x = self.rng.integers(0, 32, 2)
        noise = self.noise[self.rng.integers(len(self.noise)), y : y + HEIGHT, x : x + WIDTH]
        cv2.add(frame, noise, dst=frame, dtype=cv2.CV_8U)
        self._caption(frame, index)
        return frame

    def _shadows(self, frame: Image, stage: Stage) -> None:
        if stage.scene.night:
            return
        dark = frame.copy()
        for actor in stage.actors:
            if not isinstance(actor, Puff) and actor.z > 2.5 and not actor.hidden:
                fill(dark, actor.shadow(stage.scene.camera, stage.scene.sun), (0, 0, 0))
        strength = 0.42 if any(stage.scene.sun) else 0.28
        cv2.addWeighted(dark, strength, frame, 1 - strength, 0, dst=frame)

    def _caption(self, frame: Image, index: int) -> None:
        now = self.clock + timedelta(seconds=index / FPS)
        for text, where in ((self.title, (6, 13)), (now.strftime("%Y-%m-%d %H:%M:%S"), (6, HEIGHT - 7))):
            for offset, colour in ((1, (0, 0, 0)), (0, (235, 235, 235))):
                spot = (where[0] + offset, where[1] + offset)
                cv2.putText(frame, text, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.34, colour, 1, cv2.LINE_AA)


def _intervals(flags: list[bool], bridge: int = 8) -> tuple[tuple[int, int], ...]:
    """The half-open runs of true flags; gaps shorter than `bridge` frames don't split a run."""
    runs: list[tuple[int, int]] = []
    for index, flag in enumerate(flags):
        if flag and runs and index - runs[-1][1] < bridge:
            runs[-1] = (runs[-1][0], index + 1)
        elif flag:
            runs.append((index, index + 1))
    return tuple(runs)
