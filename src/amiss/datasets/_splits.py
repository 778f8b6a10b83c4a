"""Splits of github.com/FatemeBameri/Pytorch-Weakly-Anomaly-Detection, as facts: its training and test videos."""


def _numbers(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


UCF_CLASSWISE_TRAIN = frozenset(
    f"Normal_Videos{number:03d}_x264"
    for number in _numbers(
        """5 13 16-17 22 29 36 40 44 53 55 60 62 74-77 79 81-82 87 91 95 97 108 110 114 116 118 125-126 132 154 170
        178-179 183-184 187-188 198 200 202 204 214 216 230 256-257 264 266-267 270 275 279 291 294-295 298 301-302 304
        309 311 324 331 338-340 347-348 355 357-358 363 373 380 383-386 388-390 392-393 398 404-406 421 424 429-430 444
        447-448 461-464 467 469 471-472 474-475 477 481-483 485-494 496 499-503 505-507 510-511 514-522 524-526 528
        531-532 534-535 537 539-541 545-546 548-550 552-556 558 562-563 572 575 577-578 580-584 588-592 594 600-602 604
        607-610 614-615 617-618 623-627 629-630 632-633 635 637-638 640 642-646 649 655 657-658 667-669 679 683 685 691
        697-698 700 708-709 713-714 719 721 723 727 732 741 751-752 773 785-794 796-797 803 815 821 829-830 833-835
        837-838 845 852 858 863 916-922"""
    )
)
"""The 271 normal training videos of each of its 13 class-wise UCF-Crime subsets."""

UCF_CLASSWISE_TEST = frozenset(
    f"Normal_Videos_{number:03d}_x264"
    for number in _numbers(
        """33-34 50-51 129 168 189 203 210 217 251 352 478 576 603 606 621 634 656 686 696 710 725 780-781 798 828 831
        867-868 872 875 877-878 883 887 892 895-896 900-915 925 927 931 936-937 941"""
    )
)
"""The 61 normal test videos of each of its 13 class-wise UCF-Crime subsets."""


def _weak(digits: int, **parts: str) -> dict[str, tuple[str, int]]:
    """`{video_id: (split, label)}` from numbers by name and split; `Test` videos are anomalous."""
    split: dict[str, tuple[str, int]] = {}
    for part, numbers in parts.items():
        name, where = part.split("_")
        split |= {f"{name}{number:0{digits}d}": (where, int(name == "Test")) for number in _numbers(numbers)}
    return split


PED2_WEAK = _weak(3, Test_train="4-8 11", Train_train="5-8", Test_test="1-3 9-10 12", Train_test="1-4 9-16")
"""UCSD Ped2: 6 anomalous and 4 normal clips for training, 6 and 12 for the test."""

AVENUE_WEAK = _weak(2, Test_train="7-16 18-21", Train_train="1-2 8-15", Test_test="1-6 17", Train_test="3-7 16")
"""CUHK Avenue: 14 anomalous and 10 normal videos for training, 7 and 6 for the test."""
