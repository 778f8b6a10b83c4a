"""RBDC and TBDC, worked by hand."""

import pytest

from amiss.errors import EvaluationError
from amiss.evaluation import AnnotatedRegion, DetectedRegion, box_iou, region_criteria

LEFT, RIGHT, FAR = (0, 0, 10, 10), (20, 0, 30, 10), (80, 80, 90, 90)


def test_box_iou() -> None:
    assert box_iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert box_iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert box_iou(LEFT, LEFT) == 1


def test_everything_found_without_false_regions() -> None:
    truth = [AnnotatedRegion("v", frame, LEFT, "t") for frame in range(3)]
    found = [DetectedRegion("v", frame, LEFT, 0.5) for frame in range(3)]
    assert region_criteria(found, truth, 10) == {"rbdc": 1, "tbdc": 1}
    assert region_criteria([], truth, 10) == {"rbdc": 0, "tbdc": 0}


def test_area_by_hand() -> None:
    # two tracks in a video of 4 frames: `long` in frames 0-3, `short` in frame 0
    truth = [AnnotatedRegion("v", frame, LEFT, "long") for frame in range(4)]
    truth.append(AnnotatedRegion("v", 0, RIGHT, "short"))
    found = [
        DetectedRegion("v", 2, (1, 1, 10, 10), 0.9),  # one of four regions of `long`: enough for its track
        DetectedRegion("v", 3, FAR, 0.8),  # false
        DetectedRegion("v", 3, RIGHT, 0.7),  # false: `short` is not in frame 3
        DetectedRegion("v", 0, RIGHT, 0.6),  # finds `short`
        DetectedRegion("w", 0, FAR, 0.5),  # false, in another video
        DetectedRegion("w", 0, FAR, 0.4),  # false: 4 false regions in 4 frames
        DetectedRegion("v", 0, LEFT, 0.3),  # past one false region per frame: beyond the curve
        DetectedRegion("w", 1, FAR, 0.3),
    ]
    # regions found: 1/5 at rates 0, 1/4, 1/2, then 2/5 at 1/2, 3/4, 1
    # tracks found: 1/2 at rates 0, 1/4, 1/2, then 1 at 1/2, 3/4, 1
    got = region_criteria(found, truth, 4)
    assert got["rbdc"] == pytest.approx(0.5 * 0.2 + 0.5 * 0.4)
    assert got["tbdc"] == pytest.approx(0.5 * 0.5 + 0.5 * 1)


def test_curve_is_straight_between_thresholds_and_ends_at_one_false_region_per_frame() -> None:
    truth = [AnnotatedRegion("v", 0, LEFT, "t"), AnnotatedRegion("v", 1, LEFT, "t")]
    found = [DetectedRegion("v", 0, LEFT, 0.9)]
    found += [DetectedRegion("v", 0, FAR, 0.5)] * 4 + [DetectedRegion("v", 1, LEFT, 0.5)]  # rate 2 in one step
    # from (0, 1/2) to (2, 1): at rate 1 it is 3/4
    assert region_criteria(found, truth, 2)["rbdc"] == pytest.approx((0.5 + 0.75) / 2)


def test_overlap_below_beta_does_not_count() -> None:
    truth = [AnnotatedRegion("v", 0, LEFT, "t")]
    found = [DetectedRegion("v", 0, (9, 0, 19, 10), 0.5)]  # IoU 10/190
    assert region_criteria(found, truth, 4)["rbdc"] == 0
    assert region_criteria(found, truth, 4, beta=0.05)["rbdc"] == 1


def test_nothing_annotated_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="no annotated regions"):
        region_criteria([], [], 4)
