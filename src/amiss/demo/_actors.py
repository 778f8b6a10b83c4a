"""People, cars and smoke of the demo videos: how they look."""

from collections.abc import Generator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from amiss.demo._drawing import (
    CIRCLE,
    Camera,
    Colour,
    Image,
    Rng,
    car_footprint,
    disc,
    draw_car,
    fill,
    line,
    shade,
    vary,
)

Script = Generator[None, None, None]
"""Drives an actor: changes it and yields once per frame."""
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
