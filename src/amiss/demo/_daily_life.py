"""How the people and cars of the demo videos move when nothing is amiss, and the stage that they are on."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from amiss.demo._actors import Actor, Car, Person, Point, Script, new_person
from amiss.demo._drawing import FPS, Rng, Scene, Way, vary
from amiss.demo._props import CAR_COLOURS


@dataclass
class Stage:
    """A scene with everything that moves in it."""

    scene: Scene
    rng: Rng
    actors: list[Actor] = field(default_factory=list)
    panic: Point | None = None
    """Where people flee from."""
    car_frames: set[int] = field(default_factory=set)
    """Frames in which a car sets out."""
    flash: float = 0.0
    """Extra light of a blast, 0..1."""

    def step(self) -> None:
        """Let one frame pass; actors whose script ends leave."""
        for actor in list(self.actors):
            if actor.script is not None and next(actor.script, "over") == "over":
                self.actors.remove(actor)

    def anomaly_visible(self) -> bool:
        """Whether the anomaly can be seen now."""
        return self.flash > 0.05 or any(actor.anomalous and actor.visible(self.scene.camera) for actor in self.actors)


def advance(person: Person, target: Point, speed: float) -> bool:
    """Take one step of a frame towards `target`; whether it is reached."""
    dx, dz = target[0] - person.x, target[1] - person.z
    distance = float(np.hypot(dx, dz))
    step = speed / FPS
    if distance <= step:
        person.x, person.z = target
        return True
    person.heading = float(np.arctan2(dz, dx))
    if abs(dx) > 0.15 * abs(dz):
        person.facing = 1.0 if dx > 0 else -1.0
    person.x += dx / distance * step
    person.z += dz / distance * step
    if person.bicycle:
        person.stride, person.phase, person.lean, person.arms = 0.4, person.phase + 0.5, 0.0, (0.9, 0.9)
        person.crouch, person.y = 0.35, 0.2
        return False
    running = speed > 2.6
    person.stride = min(0.95, 0.22 + 0.2 * speed)
    person.phase += 2 * np.pi * (0.55 + 0.42 * speed) / FPS * 1.72 / person.size * (0.75 if running else 1.0)
    person.lean = person.facing * 0.16 * abs(np.cos(person.heading)) if running else 0.0
    person.elbow = 1.5 if running else 0.25
    return False


def stand(person: Person, frames: int) -> Script:
    """Stand still."""
    person.stride, person.lean, person.arms = 0.0, 0.0, None
    for _ in range(frames):
        yield


def flee(stage: Stage, person: Person, source: Point, speed: float) -> Script:
    """Run away from a point and out of the picture."""
    side = 1.0 if person.x >= source[0] else -1.0
    target = (side * (stage.scene.camera.half_width(person.z) + 2.0), person.z + stage.rng.uniform(-1.5, 0.5))
    if stage.scene.name == "corridor":
        target = (person.x * 0.6, 3.2)
    person.arms, person.anomalous = None, True
    while not advance(person, target, speed):
        yield


def walk(stage: Stage, person: Person, route: Iterable[Point], speed: float) -> Script:
    """Walk along a route and leave at its end; flee when there is reason to."""
    pause = int(stage.rng.integers(15, 120)) if stage.rng.random() < 0.12 else -1
    frame = 0
    for target in route:
        while not advance(person, target, speed):
            frame += 1
            if frame == pause and not person.bicycle:
                yield from stand(person, int(stage.rng.integers(8, 30)))
            source = stage.panic
            if source is not None and not person.bicycle:
                yield from stand(person, int(stage.rng.integers(1, 6)))
                yield from flee(stage, person, source, stage.rng.uniform(4.0, 6.0))
                return
            yield


def drive(car: Car, way: Way, speed: float) -> Script:
    """Drive to the end of a lane."""
    dx, dz = way.end[0] - way.start[0], way.end[1] - way.start[1]
    length = float(np.hypot(dx, dz))
    while (way.end[0] - car.x) * dx + (way.end[1] - car.z) * dz > 0:
        car.x += dx / length * speed / FPS
        car.z += dz / length * speed / FPS
        yield


def send_walkers(stage: Stage, start: float | None = None) -> None:
    """Send one person or a small group along one of the scene's footpaths; `start` = part of the way already done."""
    rng, scene = stage.rng, stage.scene
    way = scene.footpaths[rng.integers(len(scene.footpaths))]
    cycling = bool(scene.lanes or scene.name == "plaza") and rng.random() < 0.06
    count = 1 if cycling else int(rng.choice([1, 2, 3, 4], p=[0.66, 0.24, 0.07, 0.03]))
    speed = rng.uniform(3.0, 4.4) if cycling else rng.uniform(0.95, 1.7)
    sideways = rng.normal(0, way.spread)
    done = 0.0 if start is None else start
    for member in range(count):
        shift = np.array([rng.uniform(0.4, 0.8) * member - 0.3, sideways + rng.uniform(-0.35, 0.35)])
        a, b = np.asarray(way.start) + shift, np.asarray(way.end) + shift
        first = a + (b - a) * done
        person = new_person(rng, float(first[0]), float(max(first[1], 3.2)), bicycle=cycling)
        middle = a + (b - a) * (0.5 + done / 2) + rng.normal(0, 0.3, 2)
        route = [(float(p[0]), float(max(p[1], 3.2))) for p in (middle, b)]
        person.script = walk(stage, person, route, speed * rng.uniform(0.96, 1.04))
        stage.actors.append(person)


def send_car(stage: Stage) -> None:
    """Send a car along one of the scene's lanes."""
    rng, scene = stage.rng, stage.scene
    way = scene.lanes[rng.integers(len(scene.lanes))]
    kind = "van" if rng.random() < scene.van_share else str(rng.choice(["saloon", "hatch"]))
    yaw = 0.0 if way.end[0] > way.start[0] else np.pi
    car = Car(*way.start, yaw, kind, vary(rng, CAR_COLOURS[rng.integers(len(CAR_COLOURS))]), lights=scene.night)
    car.script = drive(car, way, rng.uniform(*scene.car_speed))
    stage.actors.append(car)


def populate(stage: Stage, n_frames: int) -> None:
    """Let people be on their way already when the video begins, and settle when cars come.

    Every video of a place with a road has cars, so that they can be learned as normal from a few videos.
    """
    rng, scene = stage.rng, stage.scene
    for _ in range(int(rng.poisson(2.2 * scene.pace))):
        send_walkers(stage, start=float(rng.uniform(0.1, 0.9)))
    stage.car_frames = {int((turn + rng.random()) / scene.cars * 0.9 * n_frames) for turn in range(scene.cars)}


def daily_life(stage: Stage, frame: int) -> None:
    """With some chance, send somebody in this frame; send a car where one is due."""
    if stage.rng.random() < 0.36 * stage.scene.pace / FPS:
        send_walkers(stage)
    if frame in stage.car_frames:
        send_car(stage)
