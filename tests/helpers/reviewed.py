"""A camera whose events were reviewed, with clips, for what is learned from them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from amiss.watch import Config, load_config, open_store
from amiss.watch.store import Store
from helpers.events import START, make_event
from helpers.motion import moving
from helpers.videos import write_video

DAYS = 10


class House:
    """A camera `gate` of which a detector that knows slow (1) and fast (9) has told; what it told is reviewed.

    Squares that move by 5 are false alarms, those that move by 9 are not.
    """

    def __init__(self, folder: Path, detector: Path) -> None:
        self.folder = folder
        self.file = folder / "watch.yaml"
        self.file.write_text(
            f"detector: {detector}\ncameras: {{gate: {{url: 'rtsp://127.0.0.1/x'}}}}\n"
            f"teach: {{data: base.csv, features: {detector.parents[1] / 'features'}}}\n"
        )
        rows = [f"{label}{i},train,{label}" for label in (0, 1) for i in range(8)]
        (folder / "base.csv").write_text("\n".join(["video_id,split,label", *rows, ""]))
        self.store: Store = open_store(f"sqlite:///{folder / 'amiss.db'}", folder / "spool")
        self.events: list[str] = []
        for day in range(DAYS):
            for speed in (5, 9):
                self.add(day, speed)
        assert self.store.flush(10)
        self.store.add_review(self.events[::2], "false-alarm", note="a car", reviewer="ann")
        self.store.add_review(self.events[1::2], "confirmed", label="run", reviewer="ann")

    @property
    def config(self) -> Config:
        return load_config(self.file)

    def add(self, day: int, speed: int, **changes: Any) -> None:
        event = make_event(started=START + timedelta(days=day, minutes=speed), **changes)
        name = f"2026-03-01/gate/{event.event_id}.mp4"
        path = self.folder / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, moving(speed, seed=100 * day + speed))
        self.store.save_event(make_event(event_id=event.event_id, started=event.started, clip=name, class_name="hurry"))
        self.events.append(event.event_id)
