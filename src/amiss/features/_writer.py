"""Writing feature sets: each video appears once it is complete."""

import hashlib
import os
from collections.abc import Collection, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, replace
from types import TracebackType
from typing import Self

import numpy as np

from amiss.backbones import FeatureSpec
from amiss.errors import AmissError, FeatureError, UsageError
from amiss.features._feature_set import Features, check_rows, read_spec
from amiss.features._index import SHARDS, TIMES, FeatureRecord, ids_here, npy_bytes, tell_lost
from amiss.features._places import FolderPlace, StorePlace
from amiss.storage import Url, located
from amiss.video import FrameTimes


class FeatureSetWriter:
    """Add videos to a feature set. Each becomes visible only once it is complete, so a run can be killed and resumed.

    One process writes into a folder at a time. Into a place in S3 or GCS several may, and each adds to the index what
    it has; other stores don't promise that nobody else writes the index meanwhile. The index lists videos as they come,
    and in order of their ids once the writer is closed: its bytes don't depend on which video was done first.

    Raises:
        UsageError: another process is writing into the folder.
        FeatureError: the folder holds features of another spec, is not empty and no feature set, or can't be listed.
        OutputError: it can't be written.
    """

    def __init__(self, folder: str | os.PathLike[str], spec: FeatureSpec) -> None:
        self.folder = located(folder)
        self.spec = spec
        self._closed = False
        self._place = StorePlace(self.folder) if isinstance(self.folder, Url) else FolderPlace(self.folder)
        try:
            self._begin()
        except BaseException:
            self._place.let_go()
            raise

    def _begin(self) -> None:
        names = self._place.begin()
        if "spec.json" in names or (not names and not self._place.write_spec(self.spec.to_dict())):
            self._check_spec(read_spec(self.folder))
        elif names:
            raise FeatureError(
                f"{self.folder} is not empty and no feature set (it has {min(names)}). Choose another folder"
            )
        index = self._place.read_index()
        if index.damage:
            tell_lost(self.folder, index.damage, index.records, self._place.names)
            self._place.write_index(index.records)
        here = ids_here(self.folder, index.records, self._place.names())
        self.done = here
        """Ids of videos that were complete when the writer was opened, or have been added since."""
        self.engines = {record.engine for name, record in index.records.items() if name in here and record.engine}
        """What made those that were complete when the writer was opened, as far as it is on record."""

    def _check_spec(self, found: FeatureSpec) -> None:
        if found != self.spec:
            names = [n for n in asdict(self.spec) if getattr(found, n) != getattr(self.spec, n)]
            what = "; ".join(
                f"{n} is {getattr(found, n)!r}, not {getattr(self.spec, n)!r}" for n in names if n != "parts"
            )
            raise FeatureError(
                f"{self.folder} holds features of another spec: {what or 'parts differ'}. Choose another folder"
            )

    def add(
        self,
        video_id: str,
        features: Features,
        n_frames: int | None,
        fps: float | None,
        engine: str | None = None,
        *,
        times: FrameTimes | None = None,
    ) -> None:
        """Write the rows of one video, [T, C, D], in the spec's dtype.

        Args:
            video_id: of the video.
            features: its rows.
            n_frames: decoded frames; None = not known.
            fps: native frames per second; None = not known.
            engine: what made them.
            times: when each frame is shown, if it is known; `n_frames` and `fps` are then its own.

        Raises:
            UsageError: the writer is closed.
            FeatureError: wrong shape, or values that are not finite.
            OutputError: can't be written (disk full, the file of another id); what was there before stays whole.
        """
        if self._closed:
            raise UsageError(f"{self.folder}: the writer is closed; {video_id} can't be added")
        check_rows(video_id, features, self.spec)
        self._place.claim(video_id, self.done)
        if times is not None:
            n_frames, fps = times.n_frames, times.fps
        knots = None if times is None else times.knots
        record = FeatureRecord(
            video_id=video_id,
            n_clips=len(features),
            n_frames=n_frames,
            fps=fps,
            times_sha256=None if knots is None else self._place.write_array(f"{TIMES}/{video_id}.npy", knots),
            sha256=self._place.write_array(f"{video_id}.npy", features.astype(self.spec.dtype, copy=False)),
            engine=engine,
        )
        self._place.append([record])
        self.done.add(video_id)

    def add_shard(self, videos: Sequence[tuple[FeatureRecord, Features, FrameTimes | None]]) -> None:
        """Write the rows of many videos into one file, `shards/<part of its checksum>.npy`.

        Args:
            videos: of each what another set has on record, its rows [T, C, D], and its times where they are stored.

        Raises:
            UsageError: the writer is closed.
            FeatureError: wrong shape, or values that are not finite.
            OutputError: it can't be written; then none of them is in the set.
        """
        if self._closed:
            raise UsageError(f"{self.folder}: the writer is closed; nothing can be added")
        records: list[FeatureRecord] = []
        parts = [rows.astype(self.spec.dtype, copy=False) for _, rows, _ in videos]
        whole = np.concatenate(parts)
        shard = f"{hashlib.sha256(npy_bytes(whole)).hexdigest()[:16]}.npy"
        row = 0
        for (known, _, times), rows in zip(videos, parts, strict=True):
            name = known.video_id
            check_rows(name, rows, self.spec)
            self._place.claim(name, self.done)
            knots = None if times is None else times.knots
            stored = None if knots is None else self._place.write_array(f"{TIMES}/{name}.npy", knots)
            digest = hashlib.sha256(npy_bytes(rows)).hexdigest()
            records.append(replace(known, sha256=digest, times_sha256=stored, shard=shard, row=row))
            row += len(rows)
        self._place.write_array(f"{SHARDS}/{shard}", whole)
        self._place.append(records)
        self.done |= {record.video_id for record in records}

    def forget(self, video_ids: Collection[str]) -> None:
        """Take videos off the record; their files stay.

        Raises:
            OutputError: the index can't be written; it stays as it was.
        """
        if video_ids:
            records = self._place.read_index().records
            self._place.write_index({name: one for name, one in records.items() if name not in video_ids})
            self.done -= set(video_ids)

    def restore(self, record: FeatureRecord) -> None:
        """Put a video on record whose rows are there.

        Raises:
            OutputError: the index can't be written.
        """
        self._place.append([record])
        self.done.add(record.video_id)

    def close(self) -> None:
        """Put the index in order and let other processes write here. Nothing can be added any more.

        Raises:
            OutputError: the index can't be written; it stays as it was.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._place.close()
        finally:
            self._place.let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(AmissError) if error else nullcontext():  # what went wrong first is what counts
            self.close()
