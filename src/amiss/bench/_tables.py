"""The tables of a benchmark: for the terminal and as Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any

from amiss.bench._results import KINDS, BenchResult, DatasetResult, Kind, MetricSpread, Spread, Sweep
from amiss.evaluation import METRIC_NAMES

_NOT_SELECTED: dict[Kind, str] = {"last": " (last)", "oracle(test)": " †"}
COLUMNS = ["system", "seeds", "last", "selected", "95 % interval", "oracle(test) †", "optimism", "held-out", "steps"]
LEGEND = (
    "mean ± std over training seeds, where there are several; interval: bootstrap over whole test videos and seeds, of "
    "`selected` (else of what there is). † chosen with the test set: what no one may report as a result. optimism = "
    "oracle(test) - selected, in points. held-out: video AUC on the training videos that models are selected on."
)
_ON_PAGES = ("optimism", "held-out", "steps")  # alone: a terminal has 80 characters


def table_rows(dataset: DatasetResult) -> list[list[str]]:
    """The main table of a dataset, cells as text, in the order of `COLUMNS`."""
    rows = []
    for row in dataset.systems:
        shown = row.ranked(row.shown)
        rows.append(
            [
                row.name,
                str(len(shown.per_seed)) if shown else "-",
                mean_std(row.ranked("last")),
                mean_std(row.ranked("selected")),
                interval(shown) if shown and row.shown != "oracle(test)" else "-",
                mean_std(row.ranked("oracle(test)")),
                points(row.optimism),
                mean_std(row.held_out),
                " / ".join(f"{row.steps[kind]:.0f}" for kind in KINDS) if row.steps else "-",
            ]
        )
    for name, own in _shortcuts(dataset).items():
        value, ci95 = own.get(dataset.metric), own["ci95"].get(dataset.metric)
        cells = ["-" if value is None else f"{value:.3f}", "-" if ci95 is None else _interval(*ci95)]
        rows.append([name, "-", "-", *cells, *["-"] * (len(COLUMNS) - 5)])
    return rows


def _shortcuts(dataset: DatasetResult) -> dict[str, dict[str, Any]]:
    """Rankings that look at no picture, by name, with their metrics: they are the same for all systems."""
    return next((row.shortcuts for row in dataset.systems if row.shortcuts), {})


def other_metrics(dataset: DatasetResult) -> list[tuple[str, list[str], list[list[str]]]]:
    """All metrics of the model that is shown: for every protocol its name, header and rows; cells have two lines."""
    tables = []
    for protocol in dataset.protocols:
        values = {row.name: row.rows[row.shown].get(protocol, {}) for row in dataset.systems}
        present = [name for name in METRIC_NAMES if any(name in own for own in values.values())]
        rows = [
            [
                row.name + _NOT_SELECTED.get(row.shown, ""),
                *(mean_std(values[row.name].get(metric), between="\n± ") for metric in present),
            ]
            for row in dataset.systems
        ]
        for name, own in _shortcuts(dataset).items() if protocol == dataset.protocols[0] else ():
            reached = [own.get(metric) for metric in present]
            rows.append([name, *("-" if value is None else f"{value:.3f}" for value in reached)])
        tables.append((protocol, ["system", *(METRIC_NAMES[name] for name in present)], rows))
    return tables


def shortcut_rows(dataset: DatasetResult) -> tuple[list[str], list[list[str]]]:
    """What each system gains over each shortcut, in points, and its 95 % interval below: header and rows."""
    compared = [(row, name, own["gains"]) for row in dataset.systems for name, own in row.shortcuts.items()]
    present = [metric for metric in METRIC_NAMES if any(metric in gains for _, _, gains in compared)]
    rows = []
    for row, name, gains in compared:
        cells = [_gain(gains[metric]) if metric in gains else "-" for metric in present]
        rows.append([f"{row.name}{_NOT_SELECTED.get(row.shown, '')} - {name}", *cells])
    return ["A - B", *(METRIC_NAMES[metric] for metric in present)], rows


def _gain(gain: dict[str, Any]) -> str:
    interval = "" if gain["ci95"] is None else "\n{:+.1f} … {:+.1f}".format(*(100 * end for end in gain["ci95"]))
    mark = "" if gain["beats"] else " ✗"
    return f"{100 * gain['difference']:+.1f}{mark}{interval}"


GLANCE_COLUMNS = ["system", "selected by", "glance rank", "95 % interval", "peak hit"]
GLANCE_LEGEND = (
    "On training videos, by heads not trained on them: no test video is looked at. Glance rank: share of the other "
    "clips of its video that a clicked one outscores (0.5 is chance). Peak hit: share of videos whose highest score "
    "lies at a click. Intervals over clicked videos, first seed. Results selected by glances used more than labels of "
    "videos."
)


def glance_rows(dataset: DatasetResult) -> list[list[str]]:
    """How well systems localise on training videos, by clicks, cells as text, in the order of `GLANCE_COLUMNS`."""
    rows = []
    for row in dataset.systems:
        if (own := row.glances) is not None:
            rows.append(
                [row.name, row.selected_by or "-", mean_std(own.rank), _interval(*own.ci95), mean_std(own.peak_hit)]
            )
    if rows:
        first = next(row.glances for row in dataset.systems if row.glances is not None)
        rows.append(["middle first", "-", f"{first.middle_rank:.3f}", "-", "-"])
        rows.append(["chance", "-", "0.500", "-", f"{first.peak_hit_chance:.3f}"])
    return rows


SHORTCUT_LEGEND = (
    "Shortcuts look at no picture: `shorter video first` scores a whole video by how short it is, `middle first` a "
    "frame by how near it is to the middle of its video. In points, with paired 95 % intervals over the same resampled "
    "videos. ✗: not clearly better, so this number proves nothing about the pictures."
)


def comparison_rows(dataset: DatasetResult) -> list[list[str]]:
    """A - B with its interval and p-values, in points."""
    return [
        [
            f"{c.a} - {c.b}",
            METRIC_NAMES[c.metric],
            f"{100 * c.difference:+.1f}",
            f"{100 * c.ci95[0]:+.1f} … {100 * c.ci95[1]:+.1f}",
            p_value(c.p),
            p_value(c.p_holm),
            "yes" if c.p_holm < 0.05 else "no",
        ]
        for c in dataset.comparisons
    ]


def cost_rows(dataset: DatasetResult) -> list[list[str]]:
    """What the systems that were trained here cost, cells as text, in the order of `COST_COLUMNS`."""
    return [
        [
            row.name,
            f"{row.cost.parameters:,.0f}",
            f"{row.cost.seconds_per_1000_steps:.1f}",
            f"{row.cost.ms_per_video:.1f}",
            f"{row.seconds:.0f}",
        ]
        for row in dataset.systems
        if row.cost is not None
    ]


COST_COLUMNS = ["system", "parameters", "s per 1000 steps", "ms per test video", "s in all"]
COST_LEGEND = (
    "Processor seconds of training steps, processor milliseconds from stored features to scores: medians over cells. "
    "In all: wall seconds of all cells, with the following of the test set that only a benchmark does."
)
COMPARISON_COLUMNS = ["A - B", "metric", "points", "95 % interval", "p", "p (Holm)", "differs at 5 %"]


def describe(dataset: DatasetResult) -> str:
    """A dataset in a sentence or two."""
    test = f"{dataset.n_test} test videos ({dataset.n_test_anomalous} anomalous)"
    if dataset.folds:
        split = f"{test}, each tested in one of {dataset.folds} folds (groups kept whole), scores of all folds pooled"
    else:
        split = f"{dataset.n_train} training videos ({dataset.n_train_anomalous} anomalous), {test}"
    return f"{split}. Ranked by {METRIC_NAMES[dataset.metric]}, protocol {dataset.protocols[0]}."


def remarks(dataset: DatasetResult) -> list[str]:
    """What a reader of a dataset's numbers must know."""
    found = list(dataset.notes)
    for features in dataset.features:
        if features.dropped:
            found.append(
                f"{features.name}: {features.dropped} videos have no features and are left out, "
                f"{features.dropped_test} of them test videos"
            )
        found += [f"{features.name}: {note}" for note in features.notes]
    selection = dict.fromkeys(row.selection for row in dataset.systems if row.selection)
    if len(selection) == 1:
        found += selection
    for row in dataset.systems:
        if row.selected_by not in (None, "video labels (clips)"):
            found.append(f"{row.name}: selected by {row.selected_by}")
        if row.recipe is not None and row.recipe["glance_loss"]["weight"]:
            found.append(f"{row.name}: trained with glances, which are more than video labels")
    found += list(dict.fromkeys(note for row in dataset.systems for note in row.detail.notes))
    for row in dataset.systems:
        if row.fold_mean:
            values = row.fold_mean["selected"]
            found.append(f"{row.name}, selected: mean over folds instead of pooled scores {mean_std(values)}")
    return found + list(dataset.remarks)


def sweep_sentence(sweep: Sweep) -> str:
    """Which setting the held-out videos choose, and what choosing on the test would add."""
    best = f"best on the test † is {sweep.best_on_test} ({sweep.best_on_test_value:.3f})"
    if sweep.chosen is None or sweep.chosen_value is None:
        return f"Nothing was held out, so no setting can be chosen without the test set; {best}."
    gain = 100 * (sweep.best_on_test_value - sweep.chosen_value)
    clicks = ""
    if sweep.chosen_by_glances_value is not None:
        clicks = f" Glances, which are more than video labels, choose {sweep.chosen_by_glances} "
        clicks += f"({sweep.chosen_by_glances_value:.3f})."
    return (
        f"Held-out training videos choose {sweep.chosen} ({sweep.chosen_value:.3f}); {best}: choosing the "
        f"setting on the test would add {gain:+.1f} points.{clicks}"
    )


def bench_tables(results: BenchResult) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, columns and rows of the main table of each dataset, for the terminal."""
    tables = []
    for dataset in results.datasets:
        left_out = {*_ON_PAGES, "last"} if all("selected" in row.rows for row in dataset.systems) else set(_ON_PAGES)
        kept = [i for i, name in enumerate(COLUMNS) if name not in left_out]
        rows = [[row[i] for i in kept] for row in table_rows(dataset)]
        title = f"{dataset.name}: {METRIC_NAMES[dataset.metric]}, {dataset.protocols[0]}"
        tables.append((title, [COLUMNS[i] for i in kept], rows))
    return tables


def to_markdown(results: BenchResult) -> str:
    """The whole report without figures."""
    return "\n".join(_markdown_lines(results)) + "\n"


def _markdown_lines(results: BenchResult) -> Iterator[str]:
    yield f"# {results.name}\n"
    if results.note:
        yield f"{results.note.strip()}\n"
    for mark in results.marks:
        yield f"> **Warning**: {mark}\n"
    for failure in results.failures:
        yield f"> **Failed**: {failure}\n"
    for dataset in results.datasets:
        yield f"## {dataset.name}\n\n{describe(dataset)}\n"
        yield _markdown_table(COLUMNS, table_rows(dataset))
        yield f"{LEGEND}\n"
        for sweep in dataset.sweeps:
            yield f"{sweep_sentence(sweep)}\n"
        for protocol, columns, rows in other_metrics(dataset):
            yield f"All metrics, {protocol}:\n"
            yield _markdown_table(columns, rows)
        columns, rows = shortcut_rows(dataset)
        if rows:
            yield _markdown_table(columns, rows)
            yield f"{SHORTCUT_LEGEND}\n"
        if glances := glance_rows(dataset):
            yield _markdown_table(GLANCE_COLUMNS, glances)
            yield f"{GLANCE_LEGEND}\n"
        if dataset.comparisons:
            yield "Paired over the same resampled videos, in points, Holm-corrected together in each metric:\n"
            yield _markdown_table(COMPARISON_COLUMNS, comparison_rows(dataset))
        if costs := cost_rows(dataset):
            yield _markdown_table(COST_COLUMNS, costs)
            yield f"{COST_LEGEND}\n"
        for remark in remarks(dataset):
            yield f"- {remark}"
        yield ""
    made = results.provenance
    versions = ", ".join(f"{name} {value}" for name, value in made.versions.items())
    yield (
        f"Suite `{made.suite}` (sha256 {made.suite_sha256[:16]}…), seeds {list(made.seeds)}, {made.bootstrap} "
        f"resamplings, {made.cells} cells, {made.training_seconds:.0f} s of training; {versions}."
    )


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", "|---|" + "--:|" * (len(columns) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |".replace("\n", "<br>") for row in rows)]) + "\n"


def mean_std(values: Spread | None, between: str = " ± ") -> str:
    """`0.731 ± 0.004`, or a dash; a single seed has no deviation, and neither has what is the same for all."""
    if values is None:
        return "-"
    return f"{values.mean:.3f}" + (f"{between}{values.std:.3f}" if values.std else "")


def interval(values: MetricSpread) -> str:
    """`0.68 … 0.78`."""
    return _interval(*values.ci95)


def _interval(low: float, high: float) -> str:
    return f"{low:.3f} … {high:.3f}"


def points(values: Spread | None) -> str:
    """A difference of metrics in points."""
    if values is None:
        return "-"
    return f"{100 * values.mean:+.1f}" + (f" ± {100 * values.std:.1f}" if values.std else "")


def p_value(value: float) -> str:
    """`0.012`, or `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
