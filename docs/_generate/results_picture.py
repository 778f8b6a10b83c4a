"""The picture of the page of results, images/results.png: made by hand after the page has changed.

    amiss demo && amiss detect demo/data/videos/test_* --detector demo/detector --out results --report
    python docs/_generate/results_picture.py results test_parking21_blast 5.2

It needs Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from PIL import Image

PICTURE = Path(__file__).parents[1] / "images/results.png"
SIZE = 1180, 850
COLOURS = 96


def take_picture(results: Path, video_id: str, second: float) -> None:
    """Open the page of a folder of results at a moment of a video, and write it as a small PNG."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is missing")
    page = results / "picture.html"
    seek = f"player.media.addEventListener('loadeddata', () => player.seek({second}), {{ once: true }})"
    moment = f"<script>{seek}</script>"
    page.write_text((results / "report.html").read_text(encoding="utf-8") + moment, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}",
             f"--window-size={SIZE[0]},{SIZE[1]}", "--blink-settings=preferredColorScheme=1",
             "--virtual-time-budget=8000", f"--screenshot={shot}", f"{page.resolve().as_uri()}#{quote(video_id)}"],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        Image.open(shot).convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)
    page.unlink()


if __name__ == "__main__":
    take_picture(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
