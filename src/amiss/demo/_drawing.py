"""The still part of a demo video: a pinhole camera over a ground plane, and things that stand on it.

World coordinates are metres: X to the right, Y up from the ground, Z away from the camera. Colours are RGB.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

WIDTH, HEIGHT, FPS = 320, 240, 12.0
SHIFT = 4  # cv2's fixed-point bits: drawing is exact to 1/16 pixel
OVERSAMPLE = 2  # stills are drawn this much larger and averaged down

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
Rng = np.random.Generator
FloorPixel = Callable[[float, float], tuple[int, int]]
"""(X, Z) on the ground → pixel of its flat texture."""


@dataclass(frozen=True)
class Camera:
    """A level camera `height` metres above the ground."""

    focal: float
    """Pixels."""
    height: float
    horizon: float
    """Image row of the horizon, may lie outside the image."""
    centre: float = WIDTH / 2

    def zoomed(self, factor: float) -> "Camera":
        """The same view on an image `factor` times as large."""
        return Camera(self.focal * factor, self.height, self.horizon * factor, self.centre * factor)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """World points `[..., 3]` to pixels `[..., 2]`."""
        p = np.asarray(points, dtype=np.float64)
        scale = self.focal / np.maximum(p[..., 2], 0.3)
        return np.stack([self.centre + scale * p[..., 0], self.horizon + scale * (self.height - p[..., 1])], axis=-1)

    def half_width(self, z: float) -> float:
        """Metres from the middle to the edge of the picture at depth `z`."""
        return self.centre * z / self.focal


def fixed(pixels: ArrayLike) -> NDArray[np.int32]:
    """Pixels in cv2's fixed-point form."""
    return np.round(np.asarray(pixels) * (1 << SHIFT)).astype(np.int32)


def fill(canvas: Image, pixels: ArrayLike, colour: Sequence[float]) -> None:
    """Fill a polygon given in pixels `[N, 2]`."""
    cv2.fillPoly(canvas, [fixed(pixels)], tuple(colour), cv2.LINE_AA, SHIFT)


def fill_world(canvas: Image, camera: Camera, points: ArrayLike, colour: Sequence[float]) -> None:
    """Fill a polygon given in the world `[N, 3]`."""
    fill(canvas, camera.project(points), colour)


def line(canvas: Image, pixels: ArrayLike, colour: Sequence[float], thickness: float) -> None:
    """Draw a polyline through pixels `[N, 2]`."""
    cv2.polylines(canvas, [fixed(pixels)], False, tuple(colour), max(1, round(thickness)), cv2.LINE_AA, SHIFT)


def line_world(canvas: Image, camera: Camera, points: ArrayLike, colour: Sequence[float], thickness: float) -> None:
    """Draw a polyline through world points `[N, 3]`; `thickness` in metres at its first point."""
    p = np.asarray(points, dtype=np.float64)
    line(canvas, camera.project(p), colour, thickness * camera.focal / p[0, 2])


def disc(canvas: Image, centre: ArrayLike, radii: tuple[float, float], colour: Sequence[float]) -> None:
    """Fill an upright ellipse, in pixels."""
    x, y = fixed(centre)
    axes = (max(1, round(radii[0] * 16)), max(1, round(radii[1] * 16)))
    cv2.ellipse(canvas, (int(x), int(y)), axes, 0, 0, 360, tuple(colour), -1, cv2.LINE_AA, SHIFT)


def shade(colour: Sequence[float], factor: float) -> Colour:
    """A lighter or darker colour."""
    r, g, b = (int(min(255, max(0, channel * factor))) for channel in colour)
    return r, g, b


def vary(rng: Rng, colour: Sequence[float], amount: float = 14) -> Colour:
    """A colour close to `colour`: lighter or darker, and a little of another hue."""
    changed = np.asarray(colour) + rng.normal(0, amount) + rng.normal(0, 0.35 * amount, 3)
    r, g, b = (int(np.clip(channel, 0, 255)) for channel in changed)
    return r, g, b


def clouds(rng: Rng, shape: tuple[int, int], octaves: int = 5) -> NDArray[np.float32]:
    """Smooth noise of several scales in about -1..1."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cells = rng.standard_normal((3 << octave, 3 << octave)).astype(np.float32)
        total += cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_CUBIC) * 0.5**octave
    return total / 1.6


@dataclass(frozen=True)
class Prop:
    """A thing that stands in the scene and hides who walks behind it."""

    z: float
    draw: Callable[[Image, Camera], None]
    """Must draw the same each time."""


@dataclass(frozen=True)
class Sprite:
    """A drawn prop: a part of the background that is laid over whatever stands farther away."""

    z: float
    x: int
    y: int
    image: Image
    mask: Image

    def paste(self, frame: Image) -> None:
        """Lay the sprite over `frame`."""
        part = frame[self.y : self.y + self.image.shape[0], self.x : self.x + self.image.shape[1]]
        cv2.copyTo(self.image, self.mask, part)


@dataclass(frozen=True)
class Way:
    """A line from one point of the ground to another on which people or cars come and go."""

    start: tuple[float, float]
    end: tuple[float, float]
    spread: float = 0.5
    """Metres by which people vary sideways."""


@dataclass
class Scene:
    """A place seen by one camera."""

    name: str
    camera: Camera
    background: Image
    sprites: list[Sprite]
    light: Image
    """Brightness of every pixel, `[H, W, 3]`, 255 = full: lamps at night, darker corners of the lens."""
    footpaths: list[Way]
    lanes: list[Way]
    open_ground: tuple[float, float, float, float]
    """Where people may stop or meet: X from, to, Z from, to."""
    fence: tuple[float, float, float, float] | None = None
    """Z, X from, X to, height of the fence before ground that nobody may enter."""
    sun: tuple[float, float] = (0.0, 0.0)
    """Where the shadow of a point 1 m high falls, in X and Z; (0, 0) is diffuse light."""
    noise: float = 2.2
    """Standard deviation of the sensor's noise, in grey levels."""
    grey: bool = False
    """Infrared night view."""
    flicker: float = 0.0
    """How much the lamps flicker, 0..1."""
    night: bool = False
    pace: float = 1.0
    """How busy the place is."""
    cars: int = 0
    """That come by in every video."""
    car_speed: tuple[float, float] = (4.5, 8.5)
    """Metres per second, from and to."""
    van_share: float = 0.15


def ground(
    rng: Rng,
    camera: Camera,
    paint: Callable[[Image, FloorPixel, float], None],
    colour: Colour,
    roughness: float = 10.0,
) -> Image:
    """Draw the ground plane by viewing a flat texture in perspective.

    Args:
        rng: for the texture.
        camera: already zoomed by `OVERSAMPLE`.
        paint: draws on the flat texture, given a function from (X, Z) to texture pixels and the pixels per metre.
        colour: of the ground.
        roughness: standard deviation of its unevenness, in grey levels.
    """
    per_metre, half, depth = 26.0, 26.0, 46.0
    size = (int(depth * per_metre), int(2 * half * per_metre))
    flat = np.empty((*size, 3), np.float32)
    grain = clouds(rng, size, 6) * roughness + rng.standard_normal(size, np.float32) * roughness * 0.7
    flat[:] = np.asarray(colour, np.float32) + grain[:, :, None]
    texture: Image = np.clip(flat, 0, 255).astype(np.uint8)
    paint(texture, lambda x, z: (round((x + half) * per_metre), round(z * per_metre)), per_metre)
    rows, columns = np.mgrid[0 : HEIGHT * OVERSAMPLE, 0 : WIDTH * OVERSAMPLE].astype(np.float32)
    z = camera.focal * camera.height / np.maximum(rows - camera.horizon, 1.0)
    x = (columns - camera.centre) * z / camera.focal
    soft = cv2.GaussianBlur(texture, (0, 0), 1.2)
    near = cv2.remap(
        texture, (x + half) * per_metre, z * per_metre, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    far = cv2.remap(soft, (x + half) * per_metre, z * per_metre, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    seen: Image = np.where((z > 12.0)[:, :, None], far, near).astype(np.uint8)
    return seen


def finish(canvas: Image, camera: Camera, props: Sequence[Prop]) -> tuple[Image, list[Sprite]]:
    """Draw the props, far to near, and average down to the size of the video.

    Returns:
        The background with all props, and a sprite for each prop that can hide somebody, far to near.
    """
    sprites = []
    ordered = sorted(props, key=lambda prop: -prop.z)
    masks = []
    for prop in ordered:
        prop.draw(canvas, camera)
        dark, bright = np.zeros_like(canvas), np.full_like(canvas, 255)
        prop.draw(dark, camera)
        prop.draw(bright, camera)
        opaque = (255 - (bright[:, :, 1] - dark[:, :, 1])).astype(np.uint8)
        masks.append(cv2.resize(opaque, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) > 110)
    background: Image = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)
    for prop, mask in zip(ordered, masks, strict=True):
        ys, xs = np.nonzero(mask)
        if len(ys):
            y0, y1, x0, x1 = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
            part = mask[y0:y1, x0:x1].astype(np.uint8) * 255
            sprites.append(Sprite(prop.z, int(x0), int(y0), background[y0:y1, x0:x1].copy(), part))
    return background, sprites


def draw_box(
    canvas: Image,
    camera: Camera,
    x: float,
    z: float,
    size: tuple[float, float, float],
    colour: Colour,
    base: float = 0.0,
) -> None:
    """A box of width, height, depth `size` whose front stands at depth `z`, centred at `x`."""
    w, h, d = size
    left, right, low, high, back = x - w / 2, x + w / 2, base, base + h, z + d
    if left > 0:
        side = [(left, low, z), (left, high, z), (left, high, back), (left, low, back)]
        fill_world(canvas, camera, side, shade(colour, 0.7))
    if right < 0:
        side = [(right, low, z), (right, high, z), (right, high, back), (right, low, back)]
        fill_world(canvas, camera, side, shade(colour, 0.7))
    if high < camera.height:
        top = [(left, high, z), (right, high, z), (right, high, back), (left, high, back)]
        fill_world(canvas, camera, top, shade(colour, 1.2))
    front = [(left, low, z), (right, low, z), (right, high, z), (left, high, z)]
    fill_world(canvas, camera, front, colour)


# Side view of a car from rear to front: (along, up) in metres from the middle of its length.
PROFILES: dict[str, list[tuple[float, float]]] = {
    "saloon": [
        (-2.2, 0.3),
        (-2.2, 0.85),
        (-1.55, 0.95),
        (-0.9, 1.42),
        (0.35, 1.42),
        (1.05, 0.95),
        (2.1, 0.8),
        (2.2, 0.3),
    ],
    "hatch": [(-1.9, 0.3), (-1.95, 0.9), (-1.55, 1.45), (0.2, 1.5), (0.95, 1.0), (1.85, 0.85), (1.95, 0.3)],
    "van": [(-2.5, 0.3), (-2.5, 2.1), (1.2, 2.15), (2.0, 1.2), (2.5, 1.05), (2.55, 0.3)],
}
GLASS: dict[str, list[list[tuple[float, float]]]] = {
    "saloon": [
        [(-1.35, 0.97), (-0.85, 1.34), (-0.32, 1.35), (-0.32, 0.97)],
        [(-0.22, 0.97), (-0.22, 1.35), (0.3, 1.34), (0.85, 0.97)],
    ],
    "hatch": [
        [(-1.5, 0.97), (-1.35, 1.38), (-0.5, 1.4), (-0.5, 0.97)],
        [(-0.4, 0.97), (-0.4, 1.4), (0.15, 1.4), (0.75, 1.0)],
    ],
    "van": [[(0.35, 1.3), (0.35, 1.95), (1.1, 1.95), (1.65, 1.3)]],
}
GLASS_COLOUR = (52, 62, 72)
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 13)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 13)[:-1])], axis=1)


def draw_car(
    canvas: Image, camera: Camera, x: float, z: float, yaw: float, kind: str, colour: Colour, lights: bool = False
) -> None:
    """A car standing at (x, z); yaw 0 looks to the right, pi/2 away from the camera."""
    profile = np.asarray(PROFILES[kind])
    cos, sin = np.cos(yaw), np.sin(yaw)

    def world(along_up: ArrayLike, across: float) -> NDArray[np.float64]:
        a = np.atleast_2d(np.asarray(along_up, dtype=np.float64))
        return np.stack([x + a[:, 0] * cos - across * sin, a[:, 1], z + a[:, 0] * sin + across * cos], axis=1)

    eye = np.array([0.0, camera.height, 0.0])
    left, right = world(profile, 0.88), world(profile, -0.88)
    panels = []
    for i in range(len(profile) - 1):
        quad = np.stack([left[i], left[i + 1], right[i + 1], right[i]])
        along, up = profile[i + 1] - profile[i]
        normal = np.array([-up * cos, along, -up * sin])
        if normal @ (eye - quad.mean(axis=0)) <= 0:
            continue
        steep = abs(up) / np.hypot(along, up)
        glass = 0.35 < steep < 0.9 and profile[i : i + 2, 1].max() > 1.3
        tint = GLASS_COLOUR if glass else shade(colour, 1.15 - 0.45 * steep)
        panels.append((-np.linalg.norm(quad.mean(axis=0) - eye), quad, tint))
    for _, quad, tint in sorted(panels, key=lambda panel: panel[0]):
        fill_world(canvas, camera, quad, tint)
    across = -0.88 if x * -sin + z * cos > 0 else 0.88
    near = right if across < 0 else left
    if np.dot(np.array([-sin, cos]) * np.sign(across), np.array([x, z])) < 0:
        fill_world(canvas, camera, near, shade(colour, 0.85))
        for pane in GLASS[kind]:
            fill_world(canvas, camera, world(pane, across), GLASS_COLOUR)
        for hub in (0.62 * profile[0, 0], 0.62 * profile[-1, 0]):
            fill_world(canvas, camera, world(CIRCLE * 0.34 + (hub, 0.33), across * 1.01), (22, 22, 24))
            fill_world(canvas, camera, world(CIRCLE * 0.17 + (hub, 0.33), across * 1.02), (120, 120, 124))
    facing_front = (x * cos + z * sin) < 0
    end, tint = (profile[-1, 0], (255, 246, 214)) if facing_front else (profile[0, 0], (190, 20, 16))
    for side in (-0.62, 0.62):
        spot = world([(end, 0.66)], side)[0]
        if abs(sin) > 0.3 or lights:
            radius = camera.focal / spot[2] * (0.16 if not lights else 0.2)
            disc(canvas, camera.project(spot), (radius * max(0.5, abs(sin)), radius * 0.7), tint)


def car_footprint(x: float, z: float, yaw: float, kind: str) -> NDArray[np.float64]:
    """The corners of the ground below a car, `[4, 3]`."""
    length = PROFILES[kind][-1][0]
    corners = np.array([(-length, -0.95), (length, -0.95), (length, 0.95), (-length, 0.95)])
    cos, sin = np.cos(yaw), np.sin(yaw)
    px = x + corners[:, 0] * cos - corners[:, 1] * sin
    return np.stack([px, np.zeros(4), z + corners[:, 0] * sin + corners[:, 1] * cos], axis=1)
