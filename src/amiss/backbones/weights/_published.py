"""Published weights: where they are, and what their file is called on this machine."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from amiss.backbones.weights._folders import hugging_face_cache


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """Weights at an official address."""

    id: str
    url: str
    megabytes: float = 0.0
    """0 = unknown."""
    file: str = ""
    """Name of the file where `url` is a page from which a person must fetch it; empty = `url` is the file's."""

    extra: str = ""
    """The extra of amiss that installs a package which has the file in it; empty = there is none."""
    in_package: str = ""
    """Where in that package: `module/folder`."""
    save_as: str = ""
    """Name of the file on this machine, where the one in `url` says nothing; empty = the one in `url`."""

    sha256: str = ""
    """Of the file, or its first digits; empty = its name ends in them, or it is unknown."""
    licence: str = ""
    """Of code and these weights; empty = what the network's says."""

    @property
    def file_name(self) -> str:
        """Name of the file on this machine."""
        return self.file or self.save_as or Path(urlparse(self.url).path).name

    @property
    def installed(self) -> Path | None:
        """The file where another tool put it: an installed package (nothing of it is run), or Hugging Face's cache."""
        return self._in_package() or self._in_hugging_face_cache()

    def _in_package(self) -> Path | None:
        module, _, folder = self.in_package.partition("/")
        found = importlib.util.find_spec(module) if module else None
        places = (found.submodule_search_locations or ()) if found is not None else ()
        return next((path for place in places if (path := Path(place, folder, self.file_name)).is_file()), None)

    def _in_hugging_face_cache(self) -> Path | None:
        address = re.fullmatch(r"https://huggingface\.co/(.+?)/(.+?)/resolve/(.+?)/(.+)", self.url)
        if address is None:
            return None
        owner, name, revision, file = address.groups()
        model = hugging_face_cache() / f"models--{owner}--{name}"
        named = model / "refs" / revision
        commit = named.read_text(encoding="utf-8").strip() if named.is_file() else revision
        path = model / "snapshots" / commit / file
        return path if path.is_file() else None

    @property
    def sha256_start(self) -> str:
        """First digits of the file's SHA-256: names of torch hub end in it (`r3d_18-b3b3357e.pth`). Empty = unknown."""
        if self.sha256:
            return self.sha256
        digits = self.file_name.rpartition("-")[2].partition(".")[0]
        return digits if re.fullmatch("[0-9a-f]{8,64}", digits) else ""
