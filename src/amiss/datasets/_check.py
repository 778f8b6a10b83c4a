"""Checking a manifest against the files."""

from amiss.datasets._manifest import Manifest
from amiss.datasets._problems import Problem, duplicates, events_beyond
from amiss.datasets._sources import Progress
from amiss.errors import VideoError
from amiss.video import check_video


def check_dataset(manifest: Manifest, progress: Progress | None = None) -> list[Problem]:
    """Decode every video of a manifest and report what doesn't fit.

    Found are missing and unreadable files, damaged ones, wrong frame counts and rates, copies of the same file (with a
    louder message where they cross from training to the test), groups that a split cuts through, events past the last
    frame, and anomalous test videos without events.

    Args:
        manifest: rows without a path are checked as far as they go.
        progress: called with (videos done, videos in all).
    """
    problems: list[Problem] = []
    for done, video in enumerate(manifest.videos):
        if progress is not None:
            progress(done, len(manifest.videos))
        name, n_frames = video.video_id, video.n_frames
        if video.path is not None:
            if not video.path.exists():
                problems.append(Problem("missing", f"{name}: {video.path} does not exist", name))
                continue
            try:
                shown = check_video(video.path)
            except VideoError as error:
                problems.append(Problem("unreadable", f"{name}: {error}", name))
                continue
            if shown.problem:
                problems.append(Problem("damaged", f"{name}: {shown.problem}", name))
            if n_frames is not None and shown.n_frames != n_frames:
                wrong = f"the manifest says {n_frames} ({shown.n_frames - n_frames:+d})"
                text = f"{name}: decodes to {shown.n_frames} frames, {wrong}"
                problems.append(Problem("length", text, name))
            if video.fps is not None and abs(shown.fps - video.fps) > 0.005 * video.fps:
                text = f"{name}: {shown.fps:.6g} frames per second, the manifest says {video.fps:.6g}"
                problems.append(Problem("rate", text, name))
            n_frames = shown.n_frames
        problems += events_beyond(name, n_frames, video.events)
    problems += _duplicates(manifest) + _cut_groups(manifest) + _bare(manifest)
    return problems


def _duplicates(manifest: Manifest) -> list[Problem]:
    paths = {video.video_id: video.path for video in manifest.videos if video.path is not None}
    problems = []
    for video_id, first in duplicates(paths):
        a, b = manifest.by_id[first], manifest.by_id[video_id]
        if "test" in (a.split, b.split) and a.split != b.split:
            text = f"{video_id} ({b.split}) is the same file as {first} ({a.split}): the test set leaks into training"
            problems.append(Problem("leak", text, video_id))
        else:
            problems.append(Problem("duplicate", f"{video_id}: the same file as {first}", video_id))
    return problems


def _cut_groups(manifest: Manifest) -> list[Problem]:
    splits: dict[str, set[str]] = {}
    for video in manifest.videos:
        if video.group:
            splits.setdefault(video.group, set()).add(video.split)
    cut = sorted(group for group, parts in splits.items() if "test" in parts and len(parts) > 1)
    return [Problem("leak", f"group {group} is in the test and in {sorted(splits[group] - {'test'})}") for group in cut]


def _bare(manifest: Manifest) -> list[Problem]:
    test = [video for video in manifest.split("test") if video.label]
    bare = [video.video_id for video in test if not video.events]
    if not bare or len(bare) == len(test):  # labels of whole videos only are in order
        return []
    text = f"{len(bare)} anomalous test videos have no events, like {bare[0]}"
    return [Problem("events", f"{text}; frame metrics take all their frames as normal")]
