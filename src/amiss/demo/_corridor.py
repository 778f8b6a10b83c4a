"""The corridor of the demo set, its only place indoors."""

import cv2
import numpy as np

from amiss.demo._drawing import (
    OVERSAMPLE,
    Camera,
    FloorPixel,
    Image,
    Rng,
    Scene,
    Way,
    fill_world,
    finish,
    ground,
    line_world,
    shade,
    vary,
)
from amiss.demo._props import box, light_map


def draw_corridor(rng: Rng, night: bool) -> Scene:
    """The place indoors: a corridor with doors, posters and lamps that mirror in the floor."""
    camera = Camera(rng.uniform(235, 265), rng.uniform(2.7, 2.95), rng.uniform(84, 98))
    view = camera.zoomed(OVERSAMPLE)
    half, high, end, tile = rng.uniform(3.2, 4.2), rng.uniform(3.5, 3.8), rng.uniform(22, 26), rng.uniform(0.6, 1.0)
    wall = vary(rng, [(196, 190, 172), (176, 190, 188), (204, 196, 190)][rng.integers(3)], 8)
    check = rng.random() < 0.6

    def paint(flat: Image, at: FloorPixel, ppm: float) -> None:
        for i, x in enumerate(np.arange(-6, 6, tile)):
            for j, z in enumerate(np.arange(0, 28, tile)):
                if check and (i + j) % 2:
                    (a, b), (c, d) = at(x, z), at(x + tile, z + tile)
                    part = flat[b:d, a:c]
                    part[:] = (part * 0.86).astype(np.uint8)
            cv2.line(flat, at(x, 0), at(x, 28), (120, 116, 110), 1)

    canvas = ground(rng, view, paint, vary(rng, (150, 142, 130), 8), 4)
    canvas[: int(view.horizon) + 2] = shade(wall, 0.9)
    fill_world(
        canvas, view, [(-half, high, 1.2), (half, high, 1.2), (half, high, end), (-half, high, end)], shade(wall, 1.12)
    )
    for side in (-half, half):
        fill_world(
            canvas,
            view,
            [(side, 0, 1.2), (side, high, 1.2), (side, high, end), (side, 0, end)],
            shade(wall, 0.93 if side < 0 else 0.86),
        )
        fill_world(
            canvas, view, [(side, 0, 1.2), (side, 0.14, 1.2), (side, 0.14, end), (side, 0, end)], shade(wall, 0.5)
        )
        fill_world(
            canvas, view, [(side, 0.95, 1.2), (side, 1.05, 1.2), (side, 1.05, end), (side, 0.95, end)], shade(wall, 0.7)
        )
        for z in np.arange(rng.uniform(6, 8), end - 1.5, rng.uniform(3.6, 5)):
            colour = vary(rng, [(110, 78, 52), (70, 92, 112), (128, 128, 126)][rng.integers(3)], 8)
            fill_world(canvas, view, [(side, 0, z), (side, 2.15, z), (side, 2.15, z + 1.1), (side, 0, z + 1.1)], colour)
            if rng.random() < 0.7:
                poster = vary(rng, rng.integers(60, 220, 3).tolist(), 10)
                fill_world(
                    canvas,
                    view,
                    [(side, 1.3, z + 1.7), (side, 2.2, z + 1.7), (side, 2.2, z + 2.6), (side, 1.3, z + 2.6)],
                    poster,
                )
    fill_world(canvas, view, [(-half, 0, end), (half, 0, end), (half, high, end), (-half, high, end)], shade(wall, 0.8))
    fill_world(canvas, view, [(-1.1, 0, end), (1.1, 0, end), (1.1, 2.3, end), (-1.1, 2.3, end)], (150, 172, 178))
    line_world(canvas, view, [(0, 0, end), (0, 2.3, end)], (80, 90, 94), 0.1)
    fill_world(canvas, view, [(-0.5, 2.5, end), (0.5, 2.5, end), (0.5, 2.8, end), (-0.5, 2.8, end)], (40, 170, 80))
    for z in np.arange(3, end - 1, 3.2):
        fill_world(
            canvas,
            view,
            [(-0.7, high, z), (0.7, high, z), (0.7, high, z + 1.1), (-0.7, high, z + 1.1)],
            (255, 255, 248),
        )
        glow = canvas.copy()  # the lamp mirrored in the polished floor
        fill_world(glow, view, [(-0.6, 0, z), (0.6, 0, z), (0.6, 0, z + 1.0), (-0.6, 0, z + 1.0)], (236, 234, 226))
        cv2.addWeighted(cv2.GaussianBlur(glow, (0, 0), 3), 0.22, canvas, 0.78, 0, dst=canvas)
    props = [
        box(float(rng.choice([-1, 1])) * (half - 0.5), rng.uniform(8, 12), (0.6, 1.0, 0.5), vary(rng, (92, 96, 100)))
    ]
    if rng.random() < 0.6:
        props.append(
            box(
                float(rng.choice([-1, 1])) * (half - 0.45),
                rng.uniform(13, 17),
                (0.8, 1.9, 0.7),
                vary(rng, (150, 40, 40), 25),
            )
        )
    background, sprites = finish(canvas, view, props)
    footpaths = []
    for x in (-half * 0.45, 0.0, half * 0.45):
        footpaths += [Way((x, end - 0.4), (x * 0.6, 3.4), 0.4), Way((x * 0.6, 3.4), (x, end - 0.4), 0.4)]
    side_z = rng.uniform(11, 14)
    footpaths += [Way((-half, side_z), (half * 0.4, 3.4), 0.3), Way((half, side_z + 3), (-half * 0.3, end - 0.4), 0.3)]
    return Scene(
        "corridor",
        camera,
        background,
        sprites,
        light_map(rng, night, [(160.0, 170.0), (160.0, 90.0)], (240, 246, 255), indoors=True),
        footpaths,
        [],
        (-half * 0.4, half * 0.4, 6.2, 8.2),
        pace=rng.uniform(0.5, 0.8),
        flicker=float(rng.uniform(0.0, 0.14)),
    )
