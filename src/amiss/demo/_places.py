"""The places of the demo set: street, plaza, car park, corridor and yard, each drawn anew from a random generator."""

from collections.abc import Callable

import cv2
import numpy as np

from amiss.demo._corridor import draw_corridor
from amiss.demo._drawing import (
    OVERSAMPLE,
    Camera,
    FloorPixel,
    Image,
    Prop,
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
from amiss.demo._props import (
    bench,
    box,
    draw_facade,
    draw_shadow,
    draw_sky,
    fence,
    lamp_post,
    light_map,
    parked_car,
    tree,
)


def make_scene(kind: str, rng: Rng, night: bool) -> Scene:
    """Draw a place of the given kind; places of one kind differ in camera, colours, furniture and light."""
    scene = SCENES[kind](rng, night)
    if night:
        scene.noise += 1.6
        scene.pace *= 0.8
        scene.sun = (0.0, 0.0)
        scene.night = True
    return scene


def _sun(rng: Rng) -> tuple[float, float]:
    return (
        (0.0, 0.0)
        if rng.random() < 0.35
        else (float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.3)), float(rng.uniform(0.1, 0.6)))
    )


def _across(camera: Camera, z: float, spread: float, margin: float = 2.0) -> list[Way]:
    x = camera.half_width(z) + margin
    return [Way((-x, z), (x, z), spread), Way((x, z), (-x, z), spread)]


def _street(rng: Rng, night: bool) -> Scene:
    camera = Camera(rng.uniform(295, 335), rng.uniform(4.5, 5.2), rng.uniform(20, 34))
    near, far, wall = rng.uniform(9.6, 10.2), rng.uniform(16.6, 17.6), rng.uniform(20.4, 21.5)
    view = camera.zoomed(OVERSAMPLE)
    crossing = rng.uniform(-7, 7) if rng.random() < 0.7 else None

    def paint(flat: Image, at: FloorPixel, ppm: float) -> None:
        for z0, z1 in ((0.0, near), (far, wall)):
            pavement = flat[at(0, z0)[1] : at(0, z1)[1]]
            pavement[:] = np.clip(pavement.astype(np.int16) + 52, 0, 255).astype(np.uint8)
            for z in np.arange(z0, z1, 0.8):
                cv2.line(flat, at(-26, z), at(26, z), (118, 116, 112), 1)
            for x in np.arange(-26, 26, 0.8):
                cv2.line(flat, at(x, z0), at(x, z1), (118, 116, 112), 1)
        for z in (near, far):
            cv2.line(flat, at(-26, z), at(26, z), (186, 184, 178), int(0.25 * ppm))
        middle = (near + far) / 2
        for x in np.arange(-26, 26, 3.0):
            cv2.line(flat, at(x, middle), at(x + 1.4, middle), (214, 212, 200), int(0.14 * ppm))
        if crossing is not None:
            for z in np.arange(near + 0.4, far - 0.3, 0.95):
                cv2.rectangle(flat, at(crossing - 1.5, z), at(crossing + 1.5, z + 0.45), (214, 214, 208), -1)

    canvas = ground(rng, view, paint, vary(rng, (84, 85, 88), 5))
    draw_sky(canvas, view, rng, night)
    x = -26.0
    while x < 26:
        width = rng.uniform(6, 11)
        draw_facade(canvas, view, rng, wall, x, x + width, rng.uniform(7.5, 14))
        x += width
    lamps = [rng.uniform(-8, -4), rng.uniform(4, 8)]
    props = [lamp_post(lamp, far + 0.5, 5.2, night) for lamp in lamps]
    for spot in (-9.0, 0.0, 9.0):
        if rng.random() < 0.5:
            props.append(tree(rng, spot + rng.uniform(-2, 2), far + 1.2, rng.uniform(3.5, 5)))
    for spot in (-10.0, -4.5, 4.0, 9.5):
        if rng.random() < 0.45 and (crossing is None or abs(spot - crossing) > 4.5):
            props.append(parked_car(rng, spot, far - 1.0, 0.0))
    if rng.random() < 0.6:
        props.append(box(rng.uniform(-3.5, 3.5), near - 0.7, (0.5, 0.9, 0.4), (60, 84, 66)))
    for prop_x in lamps:
        draw_shadow(canvas, view, prop_x, far + 0.5, 0.4)
    background, sprites = finish(canvas, view, props)
    pools = [tuple(camera.project((lamp + 0.9, 0, far - 2.0))) for lamp in lamps] + [(160.0, 200.0)]
    footpaths = _across(camera, near - 1.1, 0.6) + _across(camera, far + 1.5, 0.5)
    if crossing is not None:
        footpaths += [
            Way((crossing, far + 2.5), (crossing * 0.6, 5.5), 0.8),
            Way((crossing * 0.6, 5.5), (crossing, far + 2.5), 0.8),
        ]
    quarter = (far - near) / 4
    right, left = (
        Way((-21, near + quarter), (21, near + quarter)),
        Way((21, far - quarter - 0.7), (-21, far - quarter - 0.7)),
    )
    return Scene(
        "street",
        camera,
        background,
        sprites,
        light_map(rng, night, pools),
        footpaths,
        [right, left],
        (-3.0, 3.0, near - 2.2, near - 0.2),
        sun=_sun(rng),
        cars=3,
        pace=rng.uniform(0.8, 1.2),
    )


def _plaza(rng: Rng, night: bool) -> Scene:
    camera = Camera(rng.uniform(295, 335), rng.uniform(5.0, 5.9), rng.uniform(14, 36))
    view = camera.zoomed(OVERSAMPLE)
    tile, back = rng.uniform(1.1, 1.9), rng.uniform(29, 34)
    tones = rng.integers(-12, 13, (40, 40))
    ring = rng.uniform(13, 18) if rng.random() < 0.6 else None
    slabs = vary(rng, (160, 152, 140), 10)

    def paint(flat: Image, at: FloorPixel, ppm: float) -> None:
        for i, x in enumerate(np.arange(-26, 26, tile)):
            for j, z in enumerate(np.arange(0, 46, tile)):
                (a, b), (c, d) = at(x, z), at(x + tile, z + tile)
                part = flat[b:d, a:c]
                part[:] = np.clip(part.astype(np.int16) + tones[i % 40, j % 40], 0, 255).astype(np.uint8)
            cv2.line(flat, at(x, 0), at(x, 46), shade(slabs, 0.78), 2)
        for z in np.arange(0, 46, tile):
            cv2.line(flat, at(-26, z), at(26, z), shade(slabs, 0.78), 2)
        if ring is not None:
            for radius in (3.6, 4.4):
                cv2.circle(flat, at(0, ring), int(radius * ppm), shade(slabs, 0.7), int(0.3 * ppm))

    canvas = ground(rng, view, paint, slabs, 7)
    draw_sky(canvas, view, rng, night)
    x = -30.0
    while x < 30:
        width = rng.uniform(8, 15)
        draw_facade(canvas, view, rng, back, x, x + width, rng.uniform(6.5, 11.5), shops=rng.random() < 0.7)
        x += width
    props = [tree(rng, side * rng.uniform(7, 11), rng.uniform(20, 27), rng.uniform(4, 6)) for side in (-1, 1, 1, -1)]
    props += [bench(side * rng.uniform(4, 6), rng.uniform(17, 21)) for side in (-1, 1)]
    lamps = [(-rng.uniform(4.5, 7), rng.uniform(14, 19)), (rng.uniform(4.5, 7), rng.uniform(14, 19))]
    props += [lamp_post(lamp_x, lamp_z, 4.6, night) for lamp_x, lamp_z in lamps]
    for _ in range(rng.integers(1, 3)):
        props.append(
            box(
                rng.choice([-1, 1]) * rng.uniform(3.2, 5.2),
                rng.uniform(11.5, 14),
                (1.2, 0.6, 1.2),
                vary(rng, (140, 134, 124)),
            )
        )
    background, sprites = finish(canvas, view, props)
    pools = [tuple(camera.project((lamp_x, 0, lamp_z - 2))) for lamp_x, lamp_z in lamps] + [(160.0, 190.0)]
    footpaths = _across(camera, 11, 1.5) + _across(camera, 16, 2.0) + _across(camera, 22, 2.0)
    for a, b in ((-9, 7), (8, -6), (-2, 3)):
        footpaths += [Way((a, 27), (b * 0.6, 6.0), 1.5), Way((b * 0.6, 6.0), (a, 27), 1.5)]
    return Scene(
        "plaza",
        camera,
        background,
        sprites,
        light_map(rng, night, pools),
        footpaths,
        [],
        (-2.6, 2.6, 8.4, 10.5),
        sun=_sun(rng),
        pace=rng.uniform(0.8, 1.1),
    )


def _parking(rng: Rng, night: bool) -> Scene:
    camera = Camera(rng.uniform(310, 340), rng.uniform(5.0, 5.7), rng.uniform(6, 20))
    view = camera.zoomed(OVERSAMPLE)
    row, fence_z, bay = rng.uniform(13.0, 13.4), rng.uniform(16.2, 16.8), 2.7

    def paint(flat: Image, at: FloorPixel, ppm: float) -> None:
        for x in np.arange(-25.6, 25, bay):
            cv2.line(flat, at(x, row - 2.4), at(x, row + 2.4), (206, 204, 196), 3)
        cv2.line(flat, at(-26, row + 2.4), at(26, row + 2.4), (206, 204, 196), 3)
        grass = flat[at(0, fence_z)[1] :]
        grass[:] = np.clip(grass.astype(np.int16) * 0.6 + np.array(vary(rng, (44, 62, 24), 5)), 0, 255).astype(np.uint8)
        for x in (-8.0, 5.0):
            cv2.arrowedLine(flat, at(x, 12.0), at(x + 2.5, 12.0), (196, 196, 190), 4, tipLength=0.35)
        for _ in range(14):
            cv2.circle(flat, at(rng.uniform(-20, 20), rng.uniform(6, row)), int(rng.uniform(4, 14)), (58, 58, 60), -1)

    canvas = ground(rng, view, paint, vary(rng, (98, 98, 100), 6), 9)
    draw_sky(canvas, view, rng, night)
    x = -40.0
    while x < 40:
        width = rng.uniform(8, 18)
        draw_facade(canvas, view, rng, 40.0, x, x + width, rng.uniform(5, 12), shops=False)
        x += width
    props: list[Prop] = []
    for x in np.arange(-25.6, 25, bay) + bay / 2:
        if abs(x) < 14 and rng.random() < 0.5:
            props.append(parked_car(rng, float(x), row, float(rng.choice([-1, 1]) * np.pi / 2)))
    props.append(fence(fence_z, -26, 26, 2.0, (128, 134, 134)))
    props.append(
        box(rng.uniform(-6, 6), fence_z + 4.5, (3.2, 2.2, 2.0), vary(rng, (96, 110, 104)), stripes=(70, 80, 76))
    )
    props += [tree(rng, rng.uniform(-14, 14), fence_z + rng.uniform(6, 10), rng.uniform(4, 6)) for _ in range(3)]
    lamps = [rng.uniform(-6, -3), rng.uniform(3, 6)]
    props += [lamp_post(lamp, fence_z - 1.2, 5.0, night) for lamp in lamps]
    background, sprites = finish(canvas, view, props)
    pools = [tuple(camera.project((lamp, 0, fence_z - 3))) for lamp in lamps] + [(160.0, 200.0)]
    footpaths = (
        _across(camera, 10.7, 0.3)
        + _across(camera, 8.2, 0.6)
        + [Way((2, 12), (6.5, 6), 1.0), Way((-6.5, 6), (-2, 12), 1.0)]
    )
    lanes = [Way((-15, 9.7), (15, 9.7)), Way((15, 9.4), (-15, 9.4))]
    return Scene(
        "parking",
        camera,
        background,
        sprites,
        light_map(rng, night, pools),
        footpaths,
        lanes,
        (-2.6, 2.6, 8.0, 10.5),
        fence=(fence_z, -5.5, 5.5, 2.0),
        sun=_sun(rng),
        pace=rng.uniform(0.6, 1.0),
        cars=1,
        car_speed=(2.2, 3.8),
    )


def _yard(rng: Rng, night: bool) -> Scene:
    camera = Camera(rng.uniform(300, 335), rng.uniform(4.8, 5.5), rng.uniform(10, 24))
    view = camera.zoomed(OVERSAMPLE)
    fence_z, back = rng.uniform(13.4, 14.4), rng.uniform(26, 29)
    steel = vary(rng, [(128, 140, 150), (150, 140, 120), (116, 130, 120)][rng.integers(3)], 8)

    def paint(flat: Image, at: FloorPixel, ppm: float) -> None:
        for z in np.arange(0, 46, 4.0):
            cv2.line(flat, at(-26, z), at(26, z), (92, 90, 86), 2)
        for x in np.arange(-26, 26, 4.0):
            cv2.line(flat, at(x, 0), at(x, 46), (92, 90, 86), 2)
        for x in np.arange(-26, 26, 0.9):  # yellow and black hazard band before the fence
            stripe = np.array(
                [
                    at(x, fence_z - 1.0),
                    at(x + 0.45, fence_z - 1.0),
                    at(x + 0.85, fence_z - 0.5),
                    at(x + 0.4, fence_z - 0.5),
                ]
            )
            cv2.fillPoly(flat, [stripe.astype(np.int32)], (206, 168, 36))
        for _ in range(8):
            cv2.ellipse(
                flat,
                at(rng.uniform(-16, 16), rng.uniform(6, 17)),
                (int(rng.uniform(10, 40)), int(rng.uniform(6, 18))),
                0,
                0,
                360,
                (96, 92, 86),
                -1,
            )

    canvas = ground(rng, view, paint, vary(rng, (128, 124, 116), 6), 11)
    draw_sky(canvas, view, rng, night)
    fill_world(canvas, view, [(-30, 0, back), (30, 0, back), (30, 8.5, back), (-30, 8.5, back)], steel)
    for x in np.arange(-30, 30, 0.5):
        line_world(canvas, view, [(x, 0, back), (x, 8.5, back)], shade(steel, 0.88), 0.1)
    for x in (-13.0, -2.5, 8.0):
        shift = x + rng.uniform(-1, 1)
        fill_world(
            canvas,
            view,
            [(shift, 0, back), (shift + 4.5, 0, back), (shift + 4.5, 4.6, back), (shift, 4.6, back)],
            shade(steel, 0.62),
        )
        for y in np.arange(0.5, 4.6, 0.5):
            line_world(canvas, view, [(shift, y, back), (shift + 4.5, y, back)], shade(steel, 0.52), 0.08)
    props = [fence(fence_z, -26, 26, 2.1, (120, 126, 122))]
    for x in rng.permutation([-11.5, -4.0, 4.0, 11.5])[:3]:
        colour = vary(rng, [(150, 66, 44), (48, 92, 138), (70, 110, 74), (196, 140, 50)][rng.integers(4)], 10)
        props.append(
            box(
                float(x) + rng.uniform(-1, 1),
                rng.uniform(21, 23.5),
                (5.6, 2.6, 2.4),
                colour,
                stripes=shade(colour, 0.8),
            )
        )
    for _ in range(3):
        props.append(
            box(
                float(rng.choice([-1, 1])) * rng.uniform(5.0, 6.5),
                rng.uniform(11.0, 12.2),
                (1.2, rng.uniform(0.5, 1.2), 1.0),
                vary(rng, (150, 116, 74)),
            )
        )
    background, sprites = finish(canvas, view, props)
    footpaths = (
        _across(camera, 8.6, 0.6)
        + _across(camera, 11.0, 0.5)
        + [Way((-6, 6), (7.5, 11.5), 0.8), Way((8.5, 11.8), (-4.5, 6), 0.8)]
    )
    lanes = [Way((-16, 9.8), (16, 9.8)), Way((16, 9.8), (-16, 9.8))]
    return Scene(
        "yard",
        camera,
        background,
        sprites,
        light_map(rng, night, [(90.0, 130.0), (240.0, 150.0), (160.0, 220.0)], (255, 240, 215)),
        footpaths,
        lanes,
        (-2.6, 2.6, 8.0, 10.5),
        fence=(fence_z, -5.0, 5.0, 2.1),
        sun=_sun(rng),
        pace=rng.uniform(0.5, 0.9),
        cars=1,
        car_speed=(2.0, 3.4),
        van_share=0.7,
    )


SCENES: dict[str, Callable[[Rng, bool], Scene]] = {
    "street": _street,
    "plaza": _plaza,
    "parking": _parking,
    "corridor": draw_corridor,
    "yard": _yard,
}
