"""What goes amiss in the demo videos: running, fighting, falling, intrusion, blast."""

from collections.abc import Callable

import numpy as np

from amiss.demo._actors import Person, Point, Puff, Script, new_person
from amiss.demo._daily_life import Stage, advance, walk
from amiss.demo._drawing import FPS


def start_event(stage: Stage, kind: str, start: int, length: int) -> None:
    """Prepare an anomaly that begins at frame `start` and is over about `length` frames later."""
    EVENTS[kind](stage, start, length)


def _spot(stage: Stage) -> Point:
    x0, x1, z0, z1 = stage.scene.open_ground
    return float(stage.rng.uniform(x0, x1)), float(stage.rng.uniform(z0, z1))


def _enter(stage: Stage, person: Person, spot: Point, arrival: int) -> Script:
    """Come from outside the picture so as to reach `spot` at frame `arrival` at an ordinary pace."""
    speed = stage.rng.uniform(1.1, 1.5)
    distance = float(np.hypot(spot[0] - person.x, spot[1] - person.z))
    spare = arrival - distance / speed * FPS
    if spare > 0:
        yield from _wait(person, int(spare))
    else:  # on the way already when the video begins
        done = -spare / FPS * speed / distance
        person.x += (spot[0] - person.x) * done
        person.z += (spot[1] - person.z) * done
    while not advance(person, spot, speed):
        yield


def _wait(actor: Person | Puff, frames: int) -> Script:
    """Not be there yet."""
    actor.hidden = True
    for _ in range(frames):
        yield
    actor.hidden = False


def _leave(stage: Stage, person: Person, speed: float, *, anomalous: bool = False) -> Script:
    """Go out of the picture."""
    person.anomalous, person.arms, person.crouch, person.lean, person.y = anomalous, None, 0.0, 0.0, 0.0
    side = 1.0 if person.x > 0 else -1.0
    target = (side * (stage.scene.camera.half_width(person.z) + 1.5), person.z)
    if stage.scene.name == "corridor":
        target = (person.x * 0.5, 3.3)
    while not advance(person, target, speed):
        yield


def _outside(stage: Stage, z: float, side: float, margin: float) -> Point:
    """A point of the ground just outside the picture; in the corridor, its far door."""
    if stage.scene.name == "corridor":
        return side * 0.8, 20.0 + margin
    return side * (stage.scene.camera.half_width(z) + margin), z


def _running(stage: Stage, start: int, length: int) -> None:
    rng, scene = stage.rng, stage.scene
    side = float(rng.choice([-1, 1]))
    _, _, z0, z1 = scene.open_ground
    speed = rng.uniform(5.0, 6.6)
    chain = [_outside(stage, float(rng.uniform(z0, z1)), side, 0.3)]
    if scene.name == "corridor":
        chain += [(rng.uniform(-1, 1), 12.0), (rng.uniform(-1, 1), 4.2)]
    else:
        reach = 0.7 * speed * length / FPS  # leaving takes the rest
        while reach > 0:
            side = -side
            z = float(rng.uniform(z0, z1 + 2))
            point = (side * scene.camera.half_width(z) * float(rng.uniform(0.5, 0.85)), z)
            reach -= abs(point[0] - chain[-1][0])
            chain.append(point)
        chain.append(_outside(stage, chain[-1][1], side, 1.0))
    for runner in range(int(rng.integers(3, 6))):
        person = new_person(rng, *chain[0])

        def script(person: Person = person, delay: int = start + runner * int(rng.integers(2, 5))) -> Script:
            offset = rng.normal(0, 0.4, 2)
            yield from _wait(person, delay)
            person.anomalous = True
            for point in chain[1:]:
                while not advance(person, (point[0] + offset[0], max(point[1] + offset[1], 3.5)), speed):
                    yield

        person.script = script()
        stage.actors.append(person)


def _fighting(stage: Stage, start: int, length: int) -> None:
    rng = stage.rng
    spot = _spot(stage)
    pair: list[Person] = []
    for side in (-1.0, 1.0):
        place = (spot[0] + side * 0.4, spot[1] + side * 0.1)
        person = new_person(rng, *_outside(stage, place[1], side, 0.8))
        person.size = max(person.size, 1.6)
        pair.append(person)

        def script(person: Person = person, side: float = side, place: Point = place) -> Script:
            yield from _enter(stage, person, place, start)
            person.anomalous = True
            for frame in range(length):
                _brawl(rng, person, side, place, frame)
                yield
            yield from _leave(stage, person, rng.uniform(1.3, 2.2))

        person.script = script()
    stage.actors.extend(pair)
    for _ in range(int(rng.integers(1, 4))):  # others join or tries to part them
        side = float(rng.choice([-1, 1]))
        place = (spot[0] + side * 0.9, spot[1] + 0.4)
        helper = new_person(rng, *_outside(stage, place[1], side, 0.5))

        def help_script(person: Person = helper, side: float = side, place: Point = place) -> Script:
            yield from _wait(person, start + 6)
            while not advance(person, place, 3.6):
                yield
            for frame in range(max(0, length - 25)):
                _brawl(rng, person, side, place, frame, 0.7)
                yield
            yield from _leave(stage, person, 1.4)

        helper.script = help_script()
        stage.actors.append(helper)


def _brawl(rng: np.random.Generator, person: Person, side: float, place: Point, frame: int, force: float = 1.0) -> None:
    """One frame of pushing, hitting and kicking."""
    person.facing, person.heading = -side, 0.0
    if frame % 2 == 0:
        punch = rng.uniform(1.2, 2.8) * force
        person.arms = (
            (punch, float(rng.uniform(0.2, 1.4))) if rng.random() < 0.5 else (float(rng.uniform(0.2, 1.4)), punch)
        )
        person.elbow = float(rng.uniform(0.1, 1.4))
        person.stride = float(rng.uniform(0.2, 1.0)) * force
        person.crouch = float(rng.uniform(0.0, 0.45))
    person.phase += rng.uniform(0.2, 1.2)
    person.lean = 0.7 * person.lean + 0.3 * float(rng.normal(0.12 * -side, 0.45 * force))
    person.x += 0.3 * (place[0] - person.x) + rng.normal(0, 0.2 * force)
    person.z += 0.3 * (place[1] - person.z) + rng.normal(0, 0.1 * force)


def _falling(stage: Stage, start: int, length: int) -> None:
    rng = stage.rng
    spot = _spot(stage)
    side = float(rng.choice([-1, 1]))
    victim = new_person(rng, *_outside(stage, spot[1], side, 0.8))

    def fall() -> Script:
        yield from _enter(stage, victim, spot, start)
        victim.anomalous, direction = True, -side
        for frame in range(9):
            victim.lean = direction * 1.5 * (frame / 8) ** 1.6
            victim.arms, victim.crouch, victim.stride = (1.9, 2.3), 0.3 * frame / 8, 0.6
            victim.x += direction * 0.06
            yield
        for frame in range(max(0, length - 24)):  # writhing on the ground
            if frame % 2 == 0:
                victim.arms = (float(rng.uniform(0.3, 2.6)), float(rng.uniform(0.3, 2.6)))
                victim.crouch, victim.stride = float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.2, 0.8))
            victim.lean = direction * (1.5 + 0.12 * float(rng.normal()))
            victim.phase += rng.uniform(0.3, 0.9)
            yield
        for frame in range(15):
            victim.lean, victim.crouch = direction * 1.5 * (1 - frame / 14), 0.8 * (1 - frame / 14)
            yield
        yield from _leave(stage, victim, 0.9)

    victim.script = fall()
    stage.actors.append(victim)
    for index in range(int(rng.integers(3, 5))):
        sign = -1.0 if index % 2 else 1.0
        place = (spot[0] - side * 0.7 + sign * rng.uniform(0.8, 1.1), spot[1] + rng.uniform(0.1, 0.6))
        helper = new_person(rng, *_outside(stage, place[1], sign, 0.3))

        def assist(
            person: Person = helper, sign: float = sign, place: Point = place, delay: int = int(rng.integers(5, 11))
        ) -> Script:
            yield from _wait(person, start + delay)
            while not advance(person, place, 4.6):
                yield
            person.facing, person.lean, person.stride = -sign, -sign * 0.3, 0.3
            for frame in range(max(0, length - delay - 16)):
                if frame % 2 == 0:
                    person.crouch = float(rng.uniform(0.3, 0.9))
                    person.arms = (float(rng.uniform(0.3, 2.4)), float(rng.uniform(0.3, 2.4)))
                yield
            yield from _leave(stage, person, 1.2)

        helper.script = assist()
        stage.actors.append(helper)


def _intrusion(stage: Stage, start: int, length: int) -> None:
    rng, fence = stage.rng, stage.scene.fence
    if fence is None:
        raise ValueError(f"the scene {stage.scene.name} has no fence to climb")
    z, x0, x1, height = fence
    side = float(rng.choice([-1, 1]))
    first = float(rng.uniform(0.3, 0.8)) * (x1 if side > 0 else -x0)
    for index in range(int(rng.integers(3, 6))):
        foot = (side * (first - index * float(rng.uniform(0.7, 1.2))), z - 0.25)
        person = new_person(rng, *_outside(stage, z - rng.uniform(1.5, 4.0), side * rng.choice([-1, 1]), 0.8))

        def script(person: Person = person, foot: Point = foot, delay: int = index * int(rng.integers(3, 8))) -> Script:
            yield from _enter(stage, person, foot, start + delay)
            person.anomalous = True
            for frame in range(13):
                person.y = height * (frame / 12) ** 0.8
                person.arms = (2.9, 2.3) if frame // 3 % 2 else (2.3, 2.9)
                person.stride, person.crouch, person.phase, person.elbow = 0.7, 0.5, person.phase + 0.9, 0.3
                person.lean = 0.16 * float(np.sin(frame * 1.3))
                yield
            person.z = z + 0.35
            for frame in range(6):
                person.y, person.crouch, person.arms = height * (1 - (frame / 5) ** 2), 0.3 + 0.1 * frame, (2.4, 2.0)
                yield
            person.y, person.crouch, person.arms = 0.0, 0.0, None
            yield from _leave(stage, person, max(4.5, 10.0 * FPS / length), anomalous=True)

        person.script = script()
        stage.actors.append(person)


def _blast(stage: Stage, start: int, length: int) -> None:
    rng = stage.rng
    x, z = _spot(stage)
    x, z = x * 1.2, z + 2.0

    def smoke(puff: Puff, delay: int, rise: float, drift: float, growth: float, life: int) -> Script:
        full, puff.opacity = puff.opacity, 0.0
        yield from _wait(puff, delay)
        puff.anomalous = True
        for frame in range(life):
            age = frame / life
            puff.opacity = full * min(1.0, 4 * age + 0.3) * (1 - age)
            puff.y += rise / FPS * (1 - 0.5 * age)
            puff.x += drift / FPS
            puff.radius += growth / FPS * (1 - age)
            yield

    def splinter(puff: Puff, vx: float, vy: float, vz: float) -> Script:
        full, puff.opacity = puff.opacity, 0.0
        yield from _wait(puff, start)
        puff.opacity, puff.anomalous = full, True
        while puff.y > 0:
            puff.x, puff.y, puff.z = puff.x + vx / FPS, puff.y + vy / FPS, max(3.0, puff.z + vz / FPS)
            vy -= 9.8 / FPS
            yield

    def spark() -> Script:
        yield from _wait(seed, start)
        stage.panic = (x, z)
        for brightness in (1.0, 0.9, 0.6, 0.4, 0.25, 0.15, 0.08):
            stage.flash = brightness
            yield
        stage.flash = 0.0
        yield from _wait(seed, length - 10)
        stage.panic = None

    seed = Puff(x, 0.5, z, 0.1, (0, 0, 0), 0.0)
    seed.script = spark()
    stage.actors.append(seed)
    for _ in range(9):
        fire = Puff(
            x + rng.normal(0, 0.4),
            rng.uniform(0.4, 1.2),
            z - 0.1,
            rng.uniform(0.5, 0.9),
            (255, int(rng.integers(120, 220)), int(rng.integers(20, 90))),
            0.95,
        )
        fire.script = smoke(
            fire,
            start + int(rng.integers(0, 5)),
            rng.uniform(0.8, 2.2),
            rng.normal(0, 0.8),
            2.6,
            int(rng.integers(12, 22)),
        )
        stage.actors.append(fire)
    drift = float(rng.normal(0, 0.5))
    for _ in range(34):
        tone = int(rng.integers(42, 120))
        delay = int(rng.uniform(2, length * 0.5))
        puff = Puff(
            x + rng.normal(0, 0.5),
            rng.uniform(0.2, 0.9),
            z + rng.normal(0, 0.4),
            rng.uniform(0.4, 0.8),
            (tone, tone, tone + 4),
            rng.uniform(0.7, 1.0),
        )
        puff.script = smoke(
            puff,
            start + delay,
            rng.uniform(1.2, 3.2),
            drift + rng.normal(0, 0.3),
            rng.uniform(1.2, 2.2),
            int((length - delay) * rng.uniform(0.75, 1.0)),
        )
        stage.actors.append(puff)
    for _ in range(34):
        bit = Puff(x, 0.4, z, rng.uniform(0.05, 0.14), (int(rng.integers(40, 110)),) * 3, 1.0)
        angle = rng.uniform(0, 2 * np.pi)
        speed = rng.uniform(1.5, 5.5)
        bit.script = splinter(
            bit, float(np.cos(angle) * speed), float(rng.uniform(2.5, 8.0)), float(np.sin(angle) * speed * 0.6)
        )
        stage.actors.append(bit)
    for _ in range(int(rng.integers(3, 6))):  # passers-by who will run
        place = (x + float(rng.normal(0, 2.0)), float(np.clip(z + rng.normal(-1.5, 1.2), 6.5, 24)))
        side = 1.0 if rng.random() < 0.5 else -1.0
        person = new_person(rng, *_outside(stage, place[1], side, 0.8))

        def stroll(person: Person = person, place: Point = place, side: float = side) -> Script:
            speed = stage.rng.uniform(1.1, 1.5)
            yield from _wait(person, start - int(abs(place[0] - person.x) / speed * FPS))
            yield from walk(stage, person, [(-side * (stage.scene.camera.half_width(place[1]) + 1), place[1])], speed)

        person.script = stroll()
        stage.actors.append(person)


EVENTS: dict[str, Callable[[Stage, int, int], None]] = {
    "running": _running,
    "fighting": _fighting,
    "falling": _falling,
    "intrusion": _intrusion,
    "blast": _blast,
}
