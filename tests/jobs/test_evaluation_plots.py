"""amiss evaluate --plot: figures of scores that anyone wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

import amiss.jobs._evaluation_plots as plots
from helpers.command import amiss

ROWS = ["a,test,1,32,16,8-20;28-40", "b,test,0,32,16,", "c,test,1,16,16,0-8"]


def evaluated(folder: Path, rows: list[str]) -> tuple[int, str]:
    header = "video_id,split,label,n_frames,fps,events\n"
    (folder / "list.csv").write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    scores = {"a": [0.2, 0.9], "b": [0.4, 0.1], "c": [0.7]}
    used = {row[0]: scores[row[0]] for row in rows}
    (folder / "scores.json").write_text(json.dumps(used), encoding="utf-8")
    out = folder / "out" / "mine.json"
    ran = amiss("evaluate", folder / "scores.json", "--data", folder / "list.csv", "--out", out, "--plot")
    return ran.code, ran.err


def written(folder: Path) -> list[str]:
    figures = sorted(folder.rglob("*.png"))
    assert all(figure.read_bytes().startswith(b"\x89PNG") and figure.stat().st_size > 5000 for figure in figures)
    return [str(figure.relative_to(folder)) for figure in figures]


@pytest.mark.filterwarnings("ignore:events past the last frame")
def test_figures_lie_beside_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[dict[str, Any]] = []
    draw = plots.plot_score_curve

    def spy(spans: Any, scores: Any, times: Any, **options: Any) -> Any:
        drawn.append({"spans": spans, "scores": list(scores), "fps": times.fps, **options})
        return draw(spans, scores, times, **options)

    monkeypatch.setattr(plots, "plot_score_curve", spy)
    code, told = evaluated(tmp_path, ROWS)
    assert code == 0, told
    assert written(tmp_path / "out" / "mine") == ["pr.png", "roc.png", "videos/a.png", "videos/b.png", "videos/c.png"]
    a, b, _ = drawn
    assert (a["spans"], a["scores"], a["truth"]) == ([(0, 16), (16, 32)], [0.2, 0.9], [(8, 20), (28, 32)])
    assert (a["fps"], a["title"], b["title"], b["truth"]) == (16, "a · anomalous", "b · normal", [])


def test_labels_of_videos_alone_give_curves_over_videos_and_one_kind_gives_none(tmp_path: Path) -> None:
    code, told = evaluated(tmp_path, [",".join([*row.split(",")[:5], ""]) for row in ROWS])
    assert code == 0, told
    assert "roc.png" in written(tmp_path / "out" / "mine")
    alone = tmp_path / "alone"
    alone.mkdir()
    code, told = evaluated(alone, ROWS[1:2])
    assert code == 0, told
    assert written(alone / "out" / "mine") == ["videos/b.png"]


def test_figures_need_a_file_to_lie_beside(tmp_path: Path) -> None:
    ran = amiss("evaluate", tmp_path / "scores.json", "--data", tmp_path / "list.csv", "--plot")
    assert (ran.code, "--plot needs --out" in ran.err) == (2, True)
