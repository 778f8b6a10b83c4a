"""What stands in the places of the demo set: houses, lamps, trees, fences, parked cars; and the light on them."""

from collections.abc import Sequence

import cv2
import numpy as np

from amiss.demo._drawing import (
    HEIGHT,
    WIDTH,
    Camera,
    Colour,
    Image,
    Prop,
    Rng,
    clouds,
    disc,
    draw_box,
    draw_car,
    fill_world,
    line_world,
    shade,
    vary,
)

CAR_COLOURS: list[Colour] = [
    (168, 32, 30),
    (38, 62, 120),
    (205, 206, 208),
    (44, 46, 50),
    (120, 126, 130),
    (226, 222, 210),
    (34, 92, 74),
]
WALLS: list[Colour] = [
    (172, 128, 104),
    (190, 176, 150),
    (150, 152, 156),
    (134, 96, 80),
    (204, 196, 180),
    (120, 132, 140),
]


def draw_sky(canvas: Image, camera: Camera, rng: Rng, night: bool) -> None:
    """Sky above the horizon, with clouds."""
    rows = max(1, int(camera.horizon) + 1)
    top, low = ((12, 16, 30), (40, 44, 58)) if night else ((118, 152, 190), (206, 214, 220))
    fade = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None]
    sky = np.asarray(top, np.float32) * (1 - fade) + np.asarray(low, np.float32) * fade
    sky = sky + np.maximum(clouds(rng, (rows, canvas.shape[1])), 0)[:, :, None] * (6 if night else 45)
    canvas[:rows] = np.clip(sky, 0, 255).astype(np.uint8)


def draw_facade(
    canvas: Image, camera: Camera, rng: Rng, z: float, x0: float, x1: float, height: float, shops: bool = True
) -> None:
    """A house front at depth `z` from `x0` to `x1`."""
    wall = vary(rng, WALLS[rng.integers(len(WALLS))])
    fill_world(canvas, camera, [(x0, 0, z), (x1, 0, z), (x1, height, z), (x0, height, z)], wall)
    for y in np.arange(0.4, height, 0.4):
        line_world(canvas, camera, [(x0, y, z), (x1, y, z)], shade(wall, 0.94), 0.03)
    columns = max(1, int((x1 - x0) / 2.4))
    step = (x1 - x0) / columns
    glass = vary(rng, (70, 84, 98), 8)
    for column in range(columns):
        middle = x0 + (column + 0.5) * step
        for floor in np.arange(3.6, height - 1.2, 3.0):
            frame = [
                (middle - 0.62, floor, z),
                (middle + 0.62, floor, z),
                (middle + 0.62, floor + 1.6, z),
                (middle - 0.62, floor + 1.6, z),
            ]
            fill_world(canvas, camera, frame, shade(wall, 1.25))
            pane = np.asarray(frame) + np.array(
                [(0.09, 0.09, 0), (-0.09, 0.09, 0), (-0.09, -0.09, 0), (0.09, -0.09, 0)]
            )
            fill_world(canvas, camera, pane, shade(glass, rng.uniform(0.6, 1.5)))
            line_world(canvas, camera, [(middle, floor, z), (middle, floor + 1.6, z)], shade(wall, 1.25), 0.06)
        if shops:
            window = [
                (middle - step * 0.42, 0.35, z),
                (middle + step * 0.42, 0.35, z),
                (middle + step * 0.42, 2.4, z),
                (middle - step * 0.42, 2.4, z),
            ]
            fill_world(canvas, camera, window, vary(rng, (96, 108, 112), 18))
            if rng.random() < 0.35:
                door = [(middle - 0.5, 0, z), (middle + 0.5, 0, z), (middle + 0.5, 2.2, z), (middle - 0.5, 2.2, z)]
                fill_world(canvas, camera, door, vary(rng, (70, 48, 38), 12))
    if shops:
        colours = rng.integers(60, 190, (columns, 3))
        for column in range(columns):
            a, b = x0 + (column + 0.05) * step, x0 + (column + 0.95) * step
            fill_world(
                canvas, camera, [(a, 2.45, z), (b, 2.45, z), (b, 2.95, z), (a, 2.95, z)], colours[column].tolist()
            )
            if rng.random() < 0.5:
                awning = [(a, 2.5, z), (b, 2.5, z), (b, 2.15, z - 0.9), (a, 2.15, z - 0.9)]
                fill_world(canvas, camera, awning, shade(colours[column].tolist(), 1.25))
    fill_world(
        canvas,
        camera,
        [(x0, height - 0.25, z), (x1, height - 0.25, z), (x1, height, z), (x0, height, z)],
        shade(wall, 0.75),
    )


def lamp_post(x: float, z: float, height: float, night: bool) -> Prop:
    """A street lamp."""

    def draw(canvas: Image, camera: Camera) -> None:
        line_world(canvas, camera, [(x, 0, z), (x, height, z)], (66, 70, 72), 0.13)
        line_world(canvas, camera, [(x, height, z), (x + 0.9, height + 0.1, z)], (66, 70, 72), 0.09)
        line_world(
            canvas,
            camera,
            [(x + 0.7, height + 0.05, z), (x + 1.1, height + 0.05, z)],
            (255, 240, 190) if night else (190, 190, 180),
            0.14,
        )

    return Prop(z, draw)


def tree(rng: Rng, x: float, z: float, height: float) -> Prop:
    """A tree with its own leaves."""
    leaves = rng.normal(0, 1, (70, 3)) * (height * 0.16, height * 0.15, 0) + (0, height * 0.74, 0)
    radii, tones = rng.uniform(0.05, 0.11, 70) * height, rng.uniform(0.55, 1.25, 70) + leaves[:, 1] * 0.03
    green = vary(rng, (66, 96, 48), 10)

    def draw(canvas: Image, camera: Camera) -> None:
        fill_world(
            canvas,
            camera,
            [(x - 0.16, 0, z), (x + 0.16, 0, z), (x + 0.08, height * 0.7, z), (x - 0.08, height * 0.7, z)],
            (78, 62, 48),
        )
        for leaf, radius, tone in zip(leaves, radii, tones, strict=True):
            size = radius * camera.focal / z
            disc(canvas, camera.project(leaf + np.array([x, 0, z])), (size, size * 0.8), shade(green, tone))

    return Prop(z, draw)


def box(x: float, z: float, size: tuple[float, float, float], colour: Colour, stripes: Colour | None = None) -> Prop:
    """A box: a bin, a planter, a container; `stripes` are ribs on its front."""

    def draw(canvas: Image, camera: Camera) -> None:
        draw_box(canvas, camera, x, z, size, colour)
        if stripes:
            for offset in np.arange(-size[0] / 2 + 0.2, size[0] / 2, 0.4):
                line_world(canvas, camera, [(x + offset, 0.1, z), (x + offset, size[1] - 0.1, z)], stripes, 0.06)

    return Prop(z, draw)


def bench(x: float, z: float) -> Prop:
    """A bench."""

    def draw(canvas: Image, camera: Camera) -> None:
        for leg in (-0.8, 0.8):
            line_world(canvas, camera, [(x + leg, 0, z), (x + leg, 0.45, z)], (50, 50, 52), 0.1)
        fill_world(
            canvas,
            camera,
            [(x - 1, 0.45, z), (x + 1, 0.45, z), (x + 1, 0.45, z + 0.5), (x - 1, 0.45, z + 0.5)],
            (136, 96, 60),
        )
        fill_world(
            canvas,
            camera,
            [(x - 1, 0.6, z + 0.5), (x + 1, 0.6, z + 0.5), (x + 1, 1.0, z + 0.5), (x - 1, 1.0, z + 0.5)],
            (120, 84, 52),
        )

    return Prop(z, draw)


def parked_car(rng: Rng, x: float, z: float, yaw: float) -> Prop:
    """A car of random kind and colour."""
    kind = ("saloon", "hatch", "van")[rng.choice(3, p=[0.45, 0.42, 0.13])]
    colour = vary(rng, CAR_COLOURS[rng.integers(len(CAR_COLOURS))])
    return Prop(z, lambda canvas, camera: draw_car(canvas, camera, x, z, yaw, kind, colour))


def fence(z: float, x0: float, x1: float, height: float, colour: Colour) -> Prop:
    """A wire fence with warning signs."""

    def draw(canvas: Image, camera: Camera) -> None:
        for x in np.arange(x0, x1 + 0.1, 2.0):
            line_world(canvas, camera, [(x, 0, z), (x, height + 0.1, z)], colour, 0.1)
        for x in np.arange(x0, x1, 0.25):
            line_world(canvas, camera, [(x, 0.05, z), (x, height, z)], shade(colour, 0.9), 0.025)
        for y in (0.1, height / 2, height):
            line_world(canvas, camera, [(x0, y, z), (x1, y, z)], colour, 0.06)
        for x in np.arange(x0 + 3.0, x1, 6.0):
            sign = [
                (x - 0.4, height * 0.5, z),
                (x + 0.4, height * 0.5, z),
                (x + 0.4, height * 0.85, z),
                (x - 0.4, height * 0.85, z),
            ]
            fill_world(canvas, camera, sign, (224, 180, 30))

    return Prop(z, draw)


def draw_shadow(canvas: Image, camera: Camera, x: float, z: float, radius: float) -> None:
    """A round shadow on the ground."""
    ring = np.linspace(0, 2 * np.pi, 17)
    points = np.stack([x + radius * np.cos(ring), np.zeros(17), z + radius * 0.8 * np.sin(ring)], axis=1)
    dark = canvas.copy()
    fill_world(dark, camera, points, (0, 0, 0))
    cv2.addWeighted(dark, 0.3, canvas, 0.7, 0, dst=canvas)


def light_map(
    rng: Rng,
    night: bool,
    lamps: Sequence[tuple[float, float]] = (),
    warm: Colour = (255, 222, 170),
    *,
    indoors: bool = False,
) -> Image:
    """Brightness of each pixel: darker corners by day, pools of lamp light (pixels given) by night."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    radius = np.hypot((columns - WIDTH / 2) / WIDTH, (rows - HEIGHT / 2) / HEIGHT)
    base = np.repeat((1.0 - 0.4 * radius**2)[:, :, None], 3, axis=2)
    if night:
        glow = np.full((HEIGHT, WIDTH, 3), (0.30, 0.32, 0.40), np.float32)
        for x, y in lamps:
            pool = np.exp(-(((columns - x) / 90) ** 2) - ((rows - y) / 62) ** 2)
            glow += pool[:, :, None] * np.asarray(warm, np.float32) / 255 * 0.75
        base = base * np.minimum(glow, 1.0)
    elif not indoors and rng.random() < 0.5:  # the shadow of a building beyond the picture
        slope, start = rng.uniform(-0.6, 0.6), rng.uniform(0.2, 0.8) * WIDTH
        side = 1 if rng.random() < 0.5 else -1
        base *= (1.0 - 0.22 / (1 + np.exp(-side * (columns - start - slope * rows) / 4)))[:, :, None]
    seen: Image = np.clip(base * 255, 0, 255).astype(np.uint8)
    return seen
