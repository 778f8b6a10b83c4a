"""A kind of source of your own, in your own package: a folder of pictures that are played as if a camera saw them.

Install it and run it:

    pip install -e examples
    python examples/custom_source.py pictures
"""

import argparse

# --8<-- [start:source]
from collections.abc import Generator
from pathlib import Path

import av
from PIL import Image

from amiss.errors import UsageError, VideoError
from amiss.video import LiveFrame, LiveItem, LiveSource, SourceOptions, StateChange, open_source


class PicturesSource(LiveSource):
    """Gives the pictures of a folder, in the order of their names, at an even rate."""

    form = "pictures:DIR[?fps=5]"
    is_live = True  # time passes: where the backbone is too slow, clips are left out

    def __init__(self, url: str, options: SourceOptions) -> None:
        """Checks the address. Nothing is opened here: `amiss config check` makes a source, too."""
        super().__init__(url, options)
        folder, _, fps = url.partition(":")[2].partition("?fps=")
        if not folder or not (fps or "5").isdecimal() or not int(fps or "5"):
            raise UsageError(f"{self.name!r} is no folder of pictures; the form is {self.form}")
        self.folder, self.fps = Path(folder), int(fps or "5")

    def _items(self) -> Generator[LiveItem, None, str]:
        """All that happens, in its order; returns why it ends."""
        files = sorted(self.folder.glob("*.jpg"))
        if not files:
            raise VideoError(f"{self.folder} has no .jpg files")
        self._decoder.begin()  # a connection; it gives every frame its time
        for index, file in enumerate(files):
            if self._stop.wait(1 / self.fps):  # never time.sleep: this ends when the source is stopped
                return ""
            with Image.open(file) as image:
                picture = av.VideoFrame.from_image(image.convert("RGB"))
            if index == 0:
                yield self._state("running", f"{picture.width}x{picture.height}")
            yield self._decoder.frame(picture)
        return "no picture is left"


# --8<-- [end:source]


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder of .jpg files")
    for item in open_source(f"pictures:{parser.parse_args().folder}?fps=50"):
        match item:
            case StateChange():
                print(item.state, item.reason)
            case LiveFrame():
                print("frame", item.index, item.image.shape)


if __name__ == "__main__":
    main()
