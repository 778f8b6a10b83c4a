import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amiss.backbones import create_backbone
from amiss.errors import UsageError

DIM = 171
# blocks of the feature, in the order of the module's text
ORDER = slice(0, 60)
FASTEST = slice(60, 72)
WHERE = slice(72, 108)
SPEED_SHARES = slice(108, 122)
DIRECTIONS = slice(122, 126)
BODIES = slice(138, DIM)


@pytest.fixture(scope="module")
def motion():
    return create_backbone("motion")


def scene(step=(0, 0), *, start=(60, 40), size=(36, 24), frames=16, noise=0.0, light=1.0, seed=0):
    """A textured box that moves by `step` (y, x) pixels per frame over a still, textured 180x240 ground."""
    rng = np.random.RandomState(seed)
    ground = cv2.GaussianBlur(rng.uniform(60, 140, (180, 240)).astype(np.float32), (0, 0), 2) * 1.0
    box = cv2.GaussianBlur(rng.uniform(120, 255, size).astype(np.float32), (0, 0), 1.5)
    images = []
    for t in range(frames):
        image = ground.copy()
        y, x = (start[i] + step[i] * t for i in range(2))
        image[y : y + size[0], x : x + size[1]] = box
        image = image * (light if t >= frames // 2 else 1.0) + noise * rng.standard_normal(image.shape)
        images.append(np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return np.stack(images)


def feature(motion, frames):
    return motion.encode(frames)[0].numpy()


def test_a_still_clip_gives_zero(motion):
    assert motion.spec.dim == DIM
    x = feature(motion, scene())
    assert x.shape == (DIM,)
    assert np.abs(x).max() == 0


def test_one_frame_gives_zero(motion):
    assert np.abs(feature(motion, scene(frames=1))).max() == 0


def test_camera_noise_is_little_motion(motion):
    noisy = feature(motion, scene(noise=4.0))
    walking = feature(motion, scene((0, 2), noise=4.0))
    assert noisy[ORDER][0] < 0.05 * walking[ORDER][0]
    assert noisy[SPEED_SHARES][1] < 0.2 * walking[SPEED_SHARES][1]


def test_a_light_that_is_switched_is_little_motion(motion):
    switched = feature(motion, scene(light=0.8))
    walking = feature(motion, scene((0, 2)))
    assert np.abs(switched[ORDER][:15]).max() < 0.15 * walking[ORDER][:15].max()


def test_light_changes_hardly_change_motion(motion):
    walking, switched = (feature(motion, scene((0, 2), light=light)) for light in (1.0, 0.85))
    assert np.linalg.norm(walking - switched) < 0.15 * np.linalg.norm(walking)


def test_faster_is_larger(motion):
    rows = np.stack([feature(motion, scene((0, step))) for step in (1, 2, 4, 6)])
    assert (np.diff(rows[:, ORDER][:, 5]) > 0).all()  # largest q90
    assert (np.diff(rows[:, SPEED_SHARES].sum(1)) > 0).all()
    assert (np.diff(rows[:, FASTEST].sum(1)) > 0).all()


def test_directions_are_right_left_down_up(motion):
    for i, (step, start) in enumerate(
        [((0, 3), (60, 40)), ((0, -3), (60, 150)), ((3, 0), (60, 40)), ((-3, 0), (120, 40))]
    ):
        assert feature(motion, scene(step, start=start))[DIRECTIONS].argmax() == i


def test_only_where_depends_on_the_place(motion):
    cell = (180 // 6, 240 // 8)
    here = feature(motion, scene((0, 3), start=(30, 30)))
    there = feature(motion, scene((0, 3), start=(30 + 2 * cell[0], 30 + 3 * cell[1])))
    moved = np.abs(here - there)
    anywhere = np.r_[ORDER, FASTEST, SPEED_SHARES, DIRECTIONS]
    assert moved[anywhere].mean() < 0.1 * moved[WHERE].mean()
    assert moved[WHERE].max() > 0.5


def test_a_large_body_is_not_a_small_one(motion):
    small, large = (feature(motion, scene((0, 3), start=(20, 30), size=size)) for size in ((24, 12), (90, 60)))
    length = BODIES.start + 2 * 8  # of the largest bodies
    assert large[length] > small[length] + 0.3


def test_a_panning_camera_is_no_motion(motion):
    wide = np.concatenate([scene(frames=1, seed=s) for s in (1, 2)], axis=2)[0]
    panned = np.stack([wide[:, 3 * t : 3 * t + 240] for t in range(16)])
    walking = feature(motion, scene((0, 3)))
    assert feature(motion, panned)[SPEED_SHARES].sum() < 0.5 * walking[SPEED_SHARES].sum()


@settings(max_examples=15, deadline=None)
@given(
    frames=st.integers(1, 5),
    size=st.tuples(st.integers(1, 200), st.integers(1, 300)),
    kind=st.sampled_from(["noise", "black", "white", "flash"]),
    seed=st.integers(0, 9),
)
def test_always_finite_and_well_scaled(motion, frames, size, kind, seed):
    x = np.random.RandomState(seed).randint(0, 256, (frames, *size, 3)).astype(np.uint8)
    if kind in ("black", "white"):
        x[:] = 0 if kind == "black" else 255
    elif kind == "flash":
        x[:] = (255 * (np.arange(frames) % 2)).reshape(-1, 1, 1, 1)
    values = feature(motion, x)
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 8


def test_the_same_whatever_the_threads_and_neighbours(motion):
    clips = [scene((0, 2), noise=5.0), scene((3, 0), noise=5.0, seed=1)]
    threads = cv2.getNumThreads()
    try:
        rows = []
        for n in (1, 4):
            cv2.setNumThreads(n)
            rows.append(motion(torch.cat([motion.preprocess(clip) for clip in clips])).numpy())
            assert cv2.getNumThreads() == n
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(rows[0], rows[1])
    assert np.array_equal(rows[0][1], feature(motion, clips[1]))


def test_it_has_no_parameters_and_takes_no_weights_nor_crops(motion):
    assert not list(motion.parameters())
    assert motion.spec.weights == "none"
    with pytest.raises(UsageError, match="takes no weights"):
        create_backbone("motion", "weights.pth")
    with pytest.raises(UsageError, match="crops is 10"):
        create_backbone("motion", crops=10)


def test_frames_repeated_at_the_end_do_not_count(motion):
    moving = scene((0, 3), frames=8, noise=3.0)
    filled = np.concatenate([moving, np.repeat(moving[-1:], 8, axis=0)])
    assert np.array_equal(feature(motion, filled), feature(motion, moving))


def test_the_same_bits_wherever_the_arrays_lie(motion):
    clip = scene((1, 2), noise=6.0)
    first = feature(motion, clip)
    for offset in (1, 4, 17, 32):
        buffer = np.empty(clip.size + offset, np.uint8)  # also moves what is allocated after it
        moved = buffer[offset:].reshape(clip.shape)
        moved[:] = clip
        assert np.array_equal(feature(motion, moved), first)
