"""What a live source can be opened from: addresses, checked and taken apart."""

import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote_to_bytes

from amiss.errors import UsageError
from amiss.video._redact import redact

Kind = Literal["network", "device", "replay", "folder"]
NETWORK = ("rtsp", "rtsps", "http", "https")
FORMS = "rtsp://…, rtsps://…, http://…, https://…, device:0, replay:FILE[?loop=1&speed=1], folder:DIR"
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mkv", ".avi", ".mov", ".ts", ".m4v", ".webm", ".mpg", ".mpeg", ".flv", ".wmv", ".3gp"}
)
SEEN = ".amiss-scored.jsonl"
SETTLED_S = 2.0  # a file that hasn't grown for so long is finished
POLL_S = 1.0


@dataclass(frozen=True)
class Address:
    """A checked address of a camera."""

    kind: Kind
    where: str
    """What libav opens, or the folder."""
    shown: str
    """Without credentials, for people."""
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    """For libav."""
    loop: bool = False
    speed: float = 1.0


def showable(text: str) -> str:
    """`text` as one line that can be shown and stored: what is no text (in a file's name), or not printable, as ?."""
    return "".join(c if c.isprintable() else "?" for c in text)


def parse_address(url: str, transport: str = "tcp") -> Address:
    """Take an address apart.

    Raises:
        UsageError: of no known form; the message has no credentials.
    """
    shown = redact(url)
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme in NETWORK and rest.startswith("//") and len(rest) > 2:
        if any(c.isspace() or c in '"<>' or not c.isprintable() for c in url):
            raise UsageError(f"{shown}: an address has no blanks, quotes or brackets; write them as %20, %22, …")
        if transport not in ("tcp", "udp"):
            raise UsageError(f"transport is {transport!r}; allowed are 'tcp' and 'udp'")
        return Address("network", url, shown, None, _network_options(scheme, transport))
    if scheme == "device" and rest:
        return _device(rest, shown)
    if url.startswith("/dev/"):
        return _device(url, shown)
    if scheme == "replay" and rest:
        return _replay(rest, shown)
    if scheme == "folder" and rest:
        return Address("folder", rest, shown)
    raise UsageError(f"{shown!r} is no address of a camera; known forms are {FORMS}")


def _network_options(scheme: str, transport: str) -> dict[str, str]:
    # A stream (an HLS playlist, a redirect) must not make libav read local files.
    if scheme in ("http", "https"):
        return {"protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto,data"}
    return {
        "rtsp_transport": transport,
        "allowed_media_types": "video",
        "protocol_whitelist": "rtsp,rtsps,rtp,udp,tcp,tls,crypto,http,https",
    }


def _device(name: str, shown: str) -> Address:
    if platform.system() == "Linux":
        return Address("device", f"/dev/video{name}" if name.isdigit() else name, shown, "v4l2")
    if platform.system() == "Darwin":
        return Address("device", f"{name}:none", shown, "avfoundation", {"framerate": "30"})
    return Address("device", name if name.startswith("video=") else f"video={name}", shown, "dshow")


def _replay(rest: str, shown: str) -> Address:
    path, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    loop, speed = options.pop("loop", "0"), options.pop("speed", "1")
    try:
        speed_x = float(speed)
    except ValueError:
        speed_x = -1.0
    if options or loop not in ("0", "1") or not 0 <= speed_x < float("inf"):
        raise UsageError(f"{shown}: after the ? come loop=0|1 and speed=NUMBER (0: as fast as it can be scored)")
    path = path.removeprefix("//") if path.startswith("///") else path
    if "%" in path and not Path(path).exists():
        path = os.fsdecode(unquote_to_bytes(os.fsencode(path)))  # a name may be no text
    return Address("replay", path, shown, loop=loop == "1", speed=speed_x)


class DropBox:
    """The finished video files of a folder, each once, oldest first; also those that come later.

    What was scored is remembered in the folder's `.amiss-scored.jsonl` by name, size and time of change, so a restart
    doesn't score it again and a file that is replaced is.

    `was_read` and `is_worked_off` tell how the last look at the folder went: whether it could be read, and whether no
    file was left, not even one that is still being written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: set[tuple[str, int, int]] | None = None
        self._sizes: dict[str, tuple[tuple[int, int], float]] = {}
        self._given: tuple[str, int, int] | None = None
        self.was_read = self.is_worked_off = False

    def finished(self) -> Iterator[tuple[Path, str]]:
        """Files to be scored now, each with what tells it from all others: name, size and time of change.

        Raises:
            OSError: the folder can't be read.
        """
        self.was_read = self.is_worked_off = False
        if self._seen is None:
            self._seen = set(self._remembered())
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                suffix = Path(entry.name).suffix.lower()
                if suffix not in VIDEO_SUFFIXES or entry.name.startswith((".", "~")):
                    continue
                try:
                    if entry.is_file():
                        status = entry.stat()
                        found.append((status.st_mtime_ns, status.st_size, entry.name))
                except FileNotFoundError:  # moved away just now
                    pass
                except OSError:  # concerns this file only (a link in a circle); opening it will say what
                    found.append((0, 1, entry.name))
        self._sizes = {name: kept for name, kept in self._sizes.items() if name in {name for _, _, name in found}}
        self.was_read = True
        left = [(name, size, mtime) for mtime, size, name in sorted(found) if (name, size, mtime) not in self._seen]
        self.is_worked_off = not any(size for _, size, _ in left)  # an empty file is none
        for file in left:
            if self._is_settled(*file):
                self._given = file
                yield self.folder / file[0], showable(" ".join(map(str, file)))

    def _is_settled(self, name: str, size: int, mtime: int) -> bool:
        now = time.monotonic()
        state, since = self._sizes.get(name, (None, now))
        if state != (size, mtime):
            self._sizes[name] = (size, mtime), now
            return time.time() - mtime / 1e9 > 60 and size > 0  # long finished
        return now - since >= SETTLED_S and size > 0

    def still_has(self, path: Path) -> bool:
        """Whether the folder can be read and the file is in it."""
        try:
            return path in self.folder.iterdir()
        except OSError:
            return False

    def remember(self, *, for_good: bool = True) -> None:
        """Note that the file given last was scored, as it was when it was given.

        Args:
            for_good: also on disk; else until the process ends.

        Raises:
            OSError: the note can't be written; the file is still remembered until the process ends.
        """
        if self._given is None or self._seen is None:
            return
        self._seen.add(self._given)
        if not for_good:
            return
        name, size, mtime = self._given
        with (self.folder / SEEN).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, "size": size, "mtime_ns": mtime}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _remembered(self) -> Iterator[tuple[str, int, int]]:
        try:
            lines = (self.folder / SEEN).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                values = json.loads(line)
                yield values["name"], values["size"], values["mtime_ns"]
            except (ValueError, KeyError, TypeError):
                continue  # cut off by a crash: that file is scored again
