"""Commands that learn and measure: train, evaluate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from amiss.cli import _console as console
from amiss.cli._options import PLACE, Json, Manifest, MissingFeatures
from amiss.errors import UsageError

if TYPE_CHECKING:
    from amiss.training import Recipe, TrainReport


_METRICS = ("auc", "ano_auc", "within", "ap", "pr_auc_trapezoid", "video_auc", "event_ap", "latency_aware_ap", "far")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(console.guarded(train))
    app.command()(console.guarded(evaluate))


def train(
    data: Manifest,
    features: Annotated[str, typer.Option(help="Feature set.", metavar=PLACE)],
    out: Annotated[Path, typer.Option(help="Run directory.")],
    recipe: Annotated[str, typer.Argument(help="Recipe, see `amiss recipes`; or a recipe.yaml.")] = "amiss",
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; default 0.", min=0)] = None,
    seeds: Annotated[int | None, typer.Option(help="Train with seeds 0..N-1, each in its own directory.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a field of the recipe: key=value.")] = None,
    glances: Annotated[
        Path | None,
        typer.Option(
            help="Clicked frames of training videos (video_id,frame): say how well scores agree with them. With --set "
            "selection.by=glances they choose, with --set glance_loss.weight=1 they train."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    missing: MissingFeatures = "error",
    as_json: Json = False,
) -> None:
    """Train a head on a feature set; writes detectors."""
    from amiss.jobs import train_recipe, why_stored_only

    if seed is not None and seeds is not None:
        raise UsageError(f"--seed {seed} and --seeds {seeds} exclude each other: --seeds trains with 0 … {seeds - 1}")
    with console.progress("train") as on_progress:
        reports = train_recipe(
            recipe,
            data,
            features,
            out,
            seed=seed or 0,
            seeds=seeds,
            settings=set_ or [],
            resume=resume,
            missing=missing,
            glances=glances,
            on_start=_tell_source,
            on_progress=on_progress,
        )
    if as_json:
        console.print_json([report.to_dict() for report in reports])
        return
    columns = ["seed", "steps", "selected step", "held-out video AUC", "threshold", "seconds"]
    rows = [[r.seed, r.steps, r.selected_step, r.selected_auc, r.threshold, r.seconds] for r in reports]
    console.print_table(columns, rows)
    for note in dict.fromkeys(
        note for r in reports if r.selected_auc is None and r.taken is None for note in r.notes[:1]
    ):
        console.note(note)  # why there is no AUC, and how long it was trained instead
    remarks = [_remarks(report) for report in reports]
    for report, own in zip(reports, remarks, strict=True):
        which = f"seed {report.seed}: " if len(reports) > 1 else ""
        _print_worth(report, which)
        for remark in own:
            if not all(remark in others for others in remarks):
                console.note(which + remark)
    for remark in remarks[0]:
        if all(remark in others for others in remarks):
            console.note(remark)
    console.note(f"detectors: {out}/{'' if seeds is None else 'seed*/'}selected")
    if (why := why_stored_only(features)) is not None:
        console.note(f"they score stored features, no videos: {why}")


def _remarks(report: "TrainReport") -> list[str]:
    """What was chosen, and what the data say back."""
    taken = [report.notes[0]] if report.taken is not None else []
    found = report.out_of_fold
    if found is None:
        few = f"too few videos to say what a threshold does: {report.notes[-1]}"
        return [*taken, few, *report.scoring, *_localisation(report), *report.remarks]
    worth = taken or [f"video AUC of videos left out: {found.video_auc:.3f}"]
    return [*worth, *report.scoring, *_localisation(report), found.hours_remark, *report.remarks]


def _localisation(report: "TrainReport") -> list[str]:
    """How well it knows when, by clicks."""
    found = report.glances
    if found is None and report.clicks_hash:
        return ["glances: not measured, as no clicked video was scored by a head not trained on it"]
    if found is None:
        return []
    verdict = "" if found.beats_middle else ", which it doesn't clearly beat"
    low, high = found.rank_ci95
    rank = f"glance rank {found.rank:.3f} ({low:.3f} to {high:.3f}; middle first {found.middle_rank:.3f}{verdict})"
    low, high = found.peak_hit_ci95
    hits = f"peak hit {found.peak_hit:.0%} ({low:.0%} to {high:.0%}; chance {found.peak_hit_chance:.0%})"
    return [f"{rank}, {hits}: {found.n_clicks} clicks in {found.n_videos} videos, scored by heads not trained on them"]


def _print_worth(report: "TrainReport", which: str) -> None:
    """What each threshold does to videos that weren't trained on."""
    found = report.out_of_fold
    if found is None:
        return
    rows = [
        [
            f"{point.threshold:.3f}{' (default)' if point == found.default else ''}",
            _share(point.found, point.found_ci95),
            _share(point.false_alarms, point.false_alarms_ci95),
            *([_rate(point.per_hour, point.per_hour_ci95)] if found.tells_hours else []),
        ]
        for point in found.table
    ]
    columns = ["threshold", "anomalous videos found", "false alarms among normal videos"]
    columns += ["false alarms an hour"] if found.tells_hours else []
    title = f"{which}{len(found.scores)} videos, {found.source}; in brackets: 95 % intervals"
    console.print_table(columns, rows, title)


def _share(share: float, interval: tuple[float, float]) -> str:
    return f"{share:.0%} ({interval[0]:.0%} to {interval[1]:.0%})"


def _rate(rate: float | None, interval: tuple[float, float] | None) -> str:
    if rate is None or interval is None:
        return "-"
    value, low, high = (f"{x:.0f}" if x >= 100 else f"{x:.2g}" for x in (rate, *interval))
    return f"{value} ({low} to {high})"


def _tell_source(recipe: "Recipe") -> None:
    console.note(f"{recipe.name}: {recipe.source}")


def evaluate(
    what: Annotated[Path, typer.Argument(help="Run directory, detector, or scores (.json, .npz, .npy).")],
    data: Manifest,
    features: Annotated[
        str | None,
        typer.Option(
            help="For runs and detectors: feature set, or features in another project's layout. Left out: they are "
            "extracted from the videos, and not kept.",
            metavar=PLACE,
        ),
    ] = None,
    protocol: Annotated[str, typer.Option(help="Protocol, see `amiss protocols`.")] = "exact",
    missing: MissingFeatures = "error",
    split: Annotated[
        Literal["test", "all"],
        typer.Option(help="Which videos: the manifest's test videos, or all, as of a set without a split."),
    ] = "test",
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON.")] = None,
    plot: Annotated[
        bool, typer.Option("--plot", help="Figures beside it, in a folder of its name: ROC, PR, scores of each video.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure frame-level AUC and AP on the test videos of a manifest."""
    from amiss.jobs import evaluate_any

    if plot and (out is None or not out.suffix):
        raise UsageError(f"--plot needs --out FILE.json (it is {out}): the figures go into the folder FILE")
    plots = out.with_suffix("") if plot and out is not None else None
    with console.progress("evaluate") as on_progress:
        result = evaluate_any(
            what,
            data,
            features,
            protocol,
            missing=missing,
            split=split,
            out=out,
            plots=plots,
            on_progress=on_progress,
        )
    if as_json:
        console.print_json(result)
    else:
        _print_result(result)
    if plots is not None:
        console.note(f"figures are in {plots}")


def _print_result(result: dict[str, Any]) -> None:
    rows = result.get("rows") or {"": result}
    first = next(iter(rows.values()))
    console.note(
        f"protocol {first['protocol']}: {console.counted(first['n_videos'], 'video')}, "
        f"{first['n_frames']} frames, {first['n_positive']} anomalous"
    )
    shortcuts = first["shortcuts"]
    metrics = [m for m in _METRICS if any(row.get(m) is not None for row in rows.values())]
    columns = {**{name or "value": row for name, row in rows.items()}, **shortcuts}
    console.print_table(["", *columns], [[m, *(_measured(row, m) for row in columns.values())] for m in metrics])
    for sentence in result["not_beaten"]:
        console.warn(sentence)
    undefined: dict[str, list[str]] = {}
    for name, reason in first["undefined"].items():
        undefined.setdefault(reason, []).append(name.partition(".")[0])
    for reason, names in undefined.items():
        console.note(f"undefined: {', '.join(dict.fromkeys(names))}: {reason}")
    for remark in first["notes"]:
        if not console.was_warned(remark):
            console.note(remark)


def _measured(row: dict[str, Any], metric: str) -> str | None:
    value, std = row.get(metric), row.get("std", {}).get(metric)
    if value is None:
        return None
    return f"{value:.4f} ± {std:.4f}" if std else f"{value:.4f}"
