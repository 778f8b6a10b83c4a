"""People and cars of the demo videos: how they look and how they move when nothing is amiss.

Everything that moves is driven by a script: a generator that changes the actor and yields once per frame.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from amiss.datasets._demo_world import (
    CIRCLE,
    FPS,
    WIDTH,
    Camera,
    Colour,
    Image,
    Rng,
    Scene,
    Way,
    car_footprint,
    disc,
    draw_car,
    fill,
    fill_world,
    line,
    shade,
    vary,
)

Script = Generator[None, None, None]
Point = tuple[float, float]

SKIN: list[Colour] = [(226, 184, 156), (198, 148, 116), (142, 98, 72), (96, 64, 48)]
TOPS: list[Colour] = [
    (168, 40, 40),
    (40, 66, 128),
    (58, 60, 64),
    (206, 204, 196),
    (52, 104, 72),
    (186, 144, 60),
    (98, 62, 112),
    (96, 128, 160),
    (34, 34, 38),
]
TROUSERS: list[Colour] = [(40, 46, 66), (60, 58, 54), (28, 28, 32), (116, 104, 84), (66, 82, 112)]
HAIR: list[Colour] = [(36, 26, 20), (84, 58, 36), (22, 22, 24), (150, 118, 70), (120, 118, 116)]


@dataclass
class Person:
    """Somebody on foot or on a bicycle."""

    x: float
    z: float
    size: float = 1.72
    """Metres tall."""
    skin: Colour = SKIN[0]
    top: Colour = TOPS[0]
    trousers: Colour = TROUSERS[0]
    hair: Colour = HAIR[0]
    bag: Colour | None = None
    skirt: bool = False
    bicycle: bool = False

    y: float = 0.0
    """Metres above the ground."""
    heading: float = 0.0
    """Direction of travel: 0 to the right, pi/2 away from the camera."""
    facing: float = 1.0
    """1 looks right, -1 left."""
    phase: float = 0.0
    """Of the stride."""
    stride: float = 0.0
    """Swing of the legs, radians; 0 stands still."""
    lean: float = 0.0
    """Radians from upright, about the feet, positive to the right."""
    crouch: float = 0.0
    arms: tuple[float, float] | None = None
    """Angle of both upper arms from hanging down, radians towards where they face; None swings with the stride."""
    elbow: float = 0.25
    anomalous: bool = False
    """True while what they do is part of the anomaly."""
    hidden: bool = False
    """Not come yet."""
    script: Script | None = None

    def shadow(self, camera: Camera, sun: Point) -> NDArray[np.float64]:
        """Outline of the shadow on the ground, pixels."""
        length = self.size * abs(np.cos(self.lean))
        lying = self.size * np.sin(self.lean) * 0.5
        x0, x1 = self.x - lying * 0.0, self.x + sun[0] * length + 2 * lying
        ring = np.zeros((12, 3))
        ring[:, 0] = (x0 + x1) / 2 + CIRCLE[:, 0] * (abs(x1 - x0) / 2 + 0.24)
        ring[:, 2] = self.z + sun[1] * length / 2 + CIRCLE[:, 1] * (0.14 + 0.1 * abs(self.lean))
        ring[:, 2] += (ring[:, 0] - self.x) * (sun[1] / sun[0] if abs(sun[0]) > 0.1 else 0.0) * 0.7
        return camera.project(ring)

    def visible(self, camera: Camera) -> bool:
        """Whether a good part of the person is in the picture."""
        return not self.hidden and abs(self.x) < camera.half_width(self.z)

    def draw(self, canvas: Image, camera: Camera) -> None:
        """Draw the person as jointed limbs around the hip."""
        h, f = self.size, self.facing
        sideways = 0.35 + 0.65 * abs(np.cos(self.heading))
        foot = camera.project((self.x, self.y, self.z))
        px = camera.focal / self.z
        cos, sin = np.cos(self.lean), np.sin(self.lean)

        def at(right: float, up: float) -> tuple[float, float]:
            return foot[0] + px * (right * cos + up * sin), foot[1] - px * (up * cos - right * sin)

        leg = 0.25 * h
        hip = (0.0, (0.49 - 0.2 * self.crouch) * h)
        swing = np.sin(self.phase)
        bob = 0.015 * h * abs(np.cos(self.phase)) * (self.stride > 0)
        hip = (hip[0], hip[1] + bob)
        chest = (f * 0.05 * h * self.crouch, hip[1] + 0.31 * h)
        head = (chest[0] + f * 0.03 * h, chest[1] + 0.12 * h)
        limb, arm = max(1.0, 0.085 * h * px), max(1.0, 0.062 * h * px)

        def leg_points(side: int) -> list[tuple[float, float]]:
            angle = side * self.stride * swing * sideways + 0.5 * self.crouch * side
            bend = self.stride * max(0.0, side * np.cos(self.phase)) * 1.1 + 0.9 * self.crouch
            knee = (hip[0] + f * leg * np.sin(angle), hip[1] - leg * np.cos(angle))
            ankle = (knee[0] + f * leg * np.sin(angle - bend * sideways), knee[1] - leg * np.cos(angle - bend))
            toe = (ankle[0] + f * 0.07 * h * sideways, ankle[1])
            return [at(*hip), at(*knee), at(*ankle), at(*toe)]

        def arm_points(side: int) -> list[tuple[float, float]]:
            if self.arms is None:
                angle, elbow = -side * self.stride * swing * sideways * 0.9, self.elbow + 0.6 * self.stride
            else:
                angle, elbow = self.arms[0 if side > 0 else 1], self.elbow
            joint = (chest[0] + f * 0.17 * h * np.sin(angle), chest[1] - 0.17 * h * np.cos(angle))
            hand = (joint[0] + f * 0.16 * h * np.sin(angle + elbow), joint[1] - 0.16 * h * np.cos(angle + elbow))
            return [at(*chest), at(*joint), at(*hand)]

        if self.bicycle:
            for wheel in (-0.55, 0.55):
                line(
                    canvas,
                    [at(wheel + 0.33 * c, 0.33 + 0.33 * s) for c, s in [*CIRCLE, CIRCLE[0]]],
                    (24, 24, 26),
                    0.05 * px,
                )
            frame = [at(-0.55, 0.33), at(-0.15, 0.8), at(0.4 * f, 0.8), at(0.0, 0.3), at(-0.15, 0.8)]
            line(canvas, frame, shade(self.trousers, 1.4), 0.05 * px)
        far_leg, far_arm = leg_points(-1), arm_points(-1)
        line(canvas, far_arm, shade(self.top, 0.7), arm)
        line(canvas, far_leg[:3], shade(self.trousers, 0.72), limb)
        line(canvas, far_leg[2:], (30, 26, 24), limb * 0.7)
        near_leg = leg_points(1)
        line(canvas, near_leg[:3], self.trousers, limb)
        line(canvas, near_leg[2:], (36, 32, 30), limb * 0.7)
        wide, deep = 0.105 * h, 0.075 * h
        torso = [
            at(hip[0] - deep, hip[1] - 0.02 * h),
            at(chest[0] - wide, chest[1]),
            at(chest[0] - wide * 0.6, chest[1] + 0.04 * h),
            at(chest[0] + wide * 0.6, chest[1] + 0.04 * h),
            at(chest[0] + wide, chest[1]),
            at(hip[0] + deep, hip[1] - 0.02 * h),
        ]
        fill(canvas, torso, self.top)
        if self.skirt:
            hem = 0.2 * h
            fill(
                canvas,
                [
                    at(hip[0] - deep, hip[1]),
                    at(hip[0] + deep, hip[1]),
                    at(hip[0] + 1.6 * deep, hip[1] - hem),
                    at(hip[0] - 1.6 * deep, hip[1] - hem),
                ],
                shade(self.top, 0.8),
            )
        if self.bag is not None:
            back = chest[0] - f * 0.12 * h
            fill(
                canvas,
                [
                    at(back - 0.05 * h, chest[1]),
                    at(back + 0.05 * h, chest[1]),
                    at(back + 0.05 * h, chest[1] - 0.2 * h),
                    at(back - 0.06 * h, chest[1] - 0.2 * h),
                ],
                self.bag,
            )
        near_arm = arm_points(1)
        line(canvas, near_arm[:2], shade(self.top, 0.88), arm)
        line(canvas, near_arm[1:], self.skin if self.top[0] > 150 else shade(self.top, 0.82), arm * 0.9)
        radius = 0.072 * h * px
        disc(canvas, at(*head), (radius * 0.9, radius), self.skin)
        disc(canvas, at(head[0] - f * 0.018 * h, head[1] + 0.022 * h), (radius * 0.92, radius * 0.82), self.hair)


@dataclass
class Car:
    """A car on a lane."""

    x: float
    z: float
    yaw: float
    kind: str
    colour: Colour
    lights: bool = False
    anomalous: bool = False
    hidden: bool = False
    script: Script | None = None

    def shadow(self, camera: Camera, sun: Point) -> NDArray[np.float64]:
        """Outline of the shadow on the ground, pixels."""
        corners = car_footprint(self.x, self.z, self.yaw, self.kind)
        corners[:, 0] += 0.4 * sun[0]
        corners[2:, 2] += 0.9 * sun[1]
        return camera.project(corners)

    def visible(self, camera: Camera) -> bool:
        """Whether it is in the picture."""
        return abs(self.x) < camera.half_width(self.z)

    def draw(self, canvas: Image, camera: Camera) -> None:
        """Draw the car, at night with its beam on the road."""
        if self.lights:
            cos, sin = np.cos(self.yaw), np.sin(self.yaw)
            beam = [
                (self.x + a * cos - b * sin, 0.02, self.z + a * sin + b * cos)
                for a, b in ((2.2, -0.6), (6.5, -1.6), (6.5, 1.6), (2.2, 0.6))
            ]
            pixels = camera.project(beam)
            x0, y0 = np.maximum(pixels.min(axis=0).astype(int) - 6, 0)
            x1, y1 = np.minimum(pixels.max(axis=0).astype(int) + 7, canvas.shape[1::-1])
            if x1 > x0 and y1 > y0:
                part = canvas[y0:y1, x0:x1]
                lit = np.zeros_like(part)
                fill(lit, pixels - (x0, y0), (76, 74, 64))
                cv2.add(part, cv2.blur(lit, (9, 5)), dst=part)
        draw_car(canvas, camera, self.x, self.z, self.yaw, self.kind, self.colour, self.lights)


@dataclass
class Puff:
    """A ball of smoke, fire or a splinter, in the world."""

    x: float
    y: float
    z: float
    radius: float
    colour: Colour
    opacity: float
    anomalous: bool = False
    hidden: bool = False
    script: Script | None = None

    def visible(self, camera: Camera) -> bool:
        """Whether there is something to see."""
        return not self.hidden and abs(self.x) < camera.half_width(self.z) and self.opacity > 0.08

    def draw(self, canvas: Image, camera: Camera) -> None:
        """Blend a soft disc over the picture."""
        cx, cy = camera.project((self.x, self.y, self.z))
        r = self.radius * camera.focal / self.z
        x0, y0, x1, y1 = (
            int(v)
            for v in (
                max(cx - r, 0),
                max(cy - r, 0),
                min(cx + r + 1, canvas.shape[1]),
                min(cy + r + 1, canvas.shape[0]),
            )
        )
        if x1 <= x0 or y1 <= y0 or self.opacity <= 0.01:
            return
        rows, columns = np.arange(y0, y1, dtype=np.float32)[:, None], np.arange(x0, x1, dtype=np.float32)[None]
        alpha = np.clip(1.0 - ((columns - cx) ** 2 + (rows - cy) ** 2) / (r * r), 0, 1)[:, :, None] * np.float32(
            self.opacity
        )
        part = canvas[y0:y1, x0:x1]
        part[:] = (part + alpha * (np.asarray(self.colour, np.float32) - part)).astype(np.uint8)


Actor = Person | Car | Puff


@dataclass
class Stage:
    """A scene with everything that moves in it."""

    scene: Scene
    rng: Rng
    actors: list[Actor] = field(default_factory=list)
    panic: Point | None = None
    """Where people flee from."""
    flash: float = 0.0
    """Extra light of a blast, 0..1."""
    attention: Point | None = None
    """Where bystanders run to help."""

    def step(self) -> None:
        """Let one frame pass; actors whose script ends leave."""
        for actor in list(self.actors):
            if actor.script is not None and next(actor.script, "over") == "over":
                self.actors.remove(actor)

    def anomaly_visible(self) -> bool:
        """Whether the anomaly can be seen now."""
        return self.flash > 0.05 or any(actor.anomalous and actor.visible(self.scene.camera) for actor in self.actors)


def new_person(rng: Rng, x: float, z: float, *, bicycle: bool = False) -> Person:
    """Somebody with looks of their own."""

    def pick(colours: list[Colour]) -> Colour:
        return vary(rng, colours[rng.integers(len(colours))], 12)

    size = rng.uniform(1.15, 1.4) if rng.random() < 0.08 and not bicycle else rng.normal(1.72, 0.08)
    return Person(
        x,
        z,
        float(np.clip(size, 1.1, 1.95)),
        skin=pick(SKIN),
        top=pick(TOPS),
        trousers=pick(TROUSERS),
        hair=pick(HAIR),
        bag=pick(TOPS) if rng.random() < 0.25 else None,
        skirt=bool(rng.random() < 0.15 and not bicycle),
        bicycle=bicycle,
        phase=float(rng.uniform(0, 6.28)),
    )


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
    count = 1 if cycling else int(rng.choice([1, 2, 3, 4], p=[0.62, 0.24, 0.09, 0.05]))
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


def send_car(stage: Stage, hurry: float = 1.0) -> None:
    """Send a car along one of the scene's lanes."""
    rng, scene = stage.rng, stage.scene
    way = scene.lanes[rng.integers(len(scene.lanes))]
    kind = "van" if rng.random() < (0.7 if scene.extras.get("vans") else 0.15) else str(rng.choice(["saloon", "hatch"]))
    paint: list[Colour] = [
        (168, 32, 30),
        (38, 62, 120),
        (205, 206, 208),
        (44, 46, 50),
        (120, 126, 130),
        (226, 222, 210),
    ]
    yaw = 0.0 if way.end[0] > way.start[0] else np.pi
    car = Car(*way.start, yaw, kind, vary(rng, paint[rng.integers(len(paint))]), lights=scene.night)
    car.script = drive(car, way, rng.uniform(4.5, 8.5) * scene.extras.get("car_speed", 1.0) * hurry)
    stage.actors.append(car)


def populate(stage: Stage) -> None:
    """Let people be on their way already when the video begins."""
    for _ in range(int(stage.rng.poisson(2.2 * stage.scene.pace))):
        send_walkers(stage, start=float(stage.rng.uniform(0.1, 0.9)))


def daily_life(stage: Stage) -> None:
    """With some chance, send somebody in this frame."""
    rng, scene = stage.rng, stage.scene
    if rng.random() < 0.36 * scene.pace / FPS:
        send_walkers(stage)
    if scene.lanes and rng.random() < (0.17 if scene.name == "street" else 0.1) * scene.pace / FPS:
        send_car(stage)


def in_picture(stage: Stage, x: float, z: float) -> bool:
    """Whether a point of the ground is seen."""
    u, v = stage.scene.camera.project((x, 0, z))
    return bool(0 <= u < WIDTH and v > 0)
