"""What an extraction would take."""

from pathlib import Path

import pytest

from amiss.errors import UsageError
from amiss.jobs import EngineChoice, extract_targets, plan_extraction
from helpers.command import amiss
from helpers.videos import write_video

MOTION = EngineChoice(backbone="motion")


def test_a_plan_is_what_extraction_then_takes(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    for number in range(3):
        write_video(tmp_path / "v" / f"{number}.mp4", 50)
    (tmp_path / "v" / "broken.mp4").write_bytes(b"no video")
    plan = plan_extraction([tmp_path / "v"], MOTION, tmp_path / "f", workers=2, price_per_hour=3600)
    assert not (tmp_path / "f").exists()
    assert (plan.videos, plan.already_there, plan.unreadable, plan.looked_at) == (4, 0, 1, 4)
    assert plan.hours * 3600 == pytest.approx(6)
    assert plan.clips == 12
    assert plan.clips_per_s is not None
    assert plan.seconds == pytest.approx(12 / plan.clips_per_s / 2)
    assert plan.price == pytest.approx(2 * plan.seconds)
    extract_targets([tmp_path / "v"], "motion", tmp_path / "f")
    taken = sum(path.stat().st_size for path in (tmp_path / "f").glob("*.npy"))
    assert plan.disk_bytes == taken + 128, "the one that can't be read is counted, too"
    again = plan_extraction([tmp_path / "v"], MOTION, tmp_path / "f")
    assert (again.videos, again.already_there, again.clips) == (1, 3, 0)
    with pytest.raises(UsageError, match="price per hour is -1"):
        plan_extraction([tmp_path / "v"], MOTION, tmp_path / "f", price_per_hour=-1)


def test_the_command_prints_it(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 50)
    given = "extract", tmp_path / "a.mp4", "--backbone", "motion", "--out", tmp_path / "f"
    ran = amiss(*given, "--plan", "--price-per-hour", "2")
    assert ran.code == 0
    assert "1 worker" in ran.out
    assert "price" in ran.out
    assert '"clips": 4' in amiss(*given, "--plan", "--json").out
    assert amiss(*given, "--json").code == 2
