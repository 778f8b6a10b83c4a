"""A configuration whose first camera has two hours of kept scores."""

from datetime import datetime, timedelta
from pathlib import Path

from amiss.detection import detector_digest, shipped_detector
from amiss.watch import Config, load_config
from amiss.watch._score_history import ScoreHistory
from amiss.watch.camera import ClipScored


def config_with_scores(folder: Path, began: datetime) -> Config:
    """Of `door` and `yard`; `door` scored 0.1, but 0.4 for six seconds every ten minutes, and 0.8 every hour."""
    file = folder / "watch.yaml"
    file.write_text(
        f"detector: {shipped_detector()}\ncameras: {{door: {{url: 'rtsp://192.0.2.7/x'}}, "
        "yard: {url: 'rtsp://192.0.2.7/y'}}\n"
    )
    config = load_config(file)
    history, sha = ScoreHistory(config.state), detector_digest(shipped_detector())
    for second in range(7200):
        score = 0.8 if second % 3600 in range(600, 606) else 0.4 if second % 600 < 6 else 0.1
        first = began + timedelta(seconds=second)
        history.write(ClipScored("door", first, first + timedelta(seconds=1), score, score, 0.0), sha, 8)
    history.close()
    return config
