"""A suite with clicks: localisation on training videos in the report, and what they would choose."""

from pathlib import Path

from helpers.bench import QUICK, make_data, run_bench, write_suite


def test_clicks_are_measured_and_say_which_setting_they_choose(tmp_path: Path) -> None:
    manifest, _ = make_data(tmp_path)
    rows = [f"{v.video_id},{v.events[0][0] + 24}" for v in manifest.videos if v.events]  # of test videos, too
    (tmp_path / "glances.csv").write_text("\n".join(["video_id,frame", *rows]))
    dataset = {"name": "made-up", "manifest": "manifest.csv", "glances": "glances.csv"}
    settings = {**QUICK, "calibration.folds": 2, "selection.by": "spread", "glance_loss.weight": 0.1}
    recipe = {"recipe": "topk", "set": {**settings, "head_options.k": [1, 8]}}
    result = run_bench(
        write_suite(tmp_path, datasets=[dataset], recipes=[recipe], seeds=1), tmp_path / "out", workers=1
    )
    (found,) = result["datasets"]
    ranks = [row["glances"]["rank"]["mean"] for row in found["systems"]]
    assert [row["glances"]["n_videos"] for row in found["systems"]] == [24, 24]
    assert [row["selected_by"] for row in found["systems"]] == ["video labels (spread)"] * 2
    (sweep,) = found["sweeps"]
    assert sweep["glance_ranks"] == ranks
    assert sweep["chosen_by_glances"] == found["systems"][ranks.index(max(ranks))]["name"]
    for file in ("report.html", "results.md"):
        text = (tmp_path / "out" / file).read_text(encoding="utf-8")
        assert f"{ranks[0]:.3f}" in text
        assert "topk k=1: selected by video labels (spread)" in text
        assert "topk k=8: trained with glances, which are more than video labels" in text
        assert "Glances, which are more than video labels, choose topk k=" in text
