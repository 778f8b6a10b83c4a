"""Writes the tables of benchmarks into a page of the documentation.

    python benchmarks/results_page.py docs/explanations/heads-measured.md RESULTS [RESULTS …]

RESULTS are folders of `amiss bench`, finished or stopped (`--minutes 0` reports what is there). The page says where
tables go: what stands between `<!-- heads.yaml ucf-crime -->` and `<!-- end -->` is replaced by those of the dataset
`ucf-crime` of the suite `heads.yaml`. Everything else, also tables of suites that aren't given, stays as it is.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from amiss.bench import BenchResult, DatasetResult, SystemResult
from amiss.evaluation import METRIC_NAMES, Comparison
from amiss.files import write_text

BLOCK = re.compile(r"(<!-- (?P<suite>\S+) (?P<dataset>\S+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
OF_FRAMES = ("auc", "ano_auc", "within", "ap")
NOT_BEATEN = " ✗"
SIGNIFICANT = 0.05  # marked by a star


def write_page(page: Path, folders: Sequence[Path]) -> list[str]:
    """Replace the tables in a page.

    Args:
        page: Markdown.
        folders: of `amiss bench`.

    Returns:
        `suite dataset` of each that was replaced.
    """
    tables = {}
    for folder in folders:
        results = BenchResult.model_validate_json((folder / "results.json").read_bytes())
        for dataset in results.datasets:
            tables[results.provenance.suite, dataset.name] = "\n".join(_lines(dataset))
    replaced = []

    def table_of(found: re.Match[str]) -> str:
        key = found["suite"], found["dataset"]
        if key not in tables:
            return found[0]
        replaced.append(" ".join(key))
        return f"{found[1]}\n{tables[key]}\n"

    write_text(page, BLOCK.sub(table_of, page.read_text(encoding="utf-8")))
    return replaced


def _lines(dataset: DatasetResult) -> Iterator[str]:
    """All systems with the shortcuts; then the comparisons, where not all of them are with the first system."""
    has_frames = any("auc" in row.rows[row.shown][row.protocol] for row in dataset.systems)
    metrics = OF_FRAMES if has_frames else ("video_auc",)
    has_glances = any(row.glances for row in dataset.systems)
    first = dataset.systems[0].name
    with_first = {(found.a, found.metric): found for found in dataset.comparisons if found.b == first}
    is_column = len(with_first) == len(dataset.comparisons) > 1
    compared = list(dict.fromkeys(found.metric for found in dataset.comparisons)) if is_column else []
    header = ["system", "seeds", *(METRIC_NAMES[name] for name in metrics), f"95 %, {METRIC_NAMES[metrics[0]]}"]
    header += [f"{METRIC_NAMES[metric]} - that of {first}, in points" for metric in compared]
    yield from _head([*header, *(["glance rank"] if has_glances else []), "parameters", "s per training"])
    for row in dataset.systems:
        values = row.rows[row.shown][row.protocol]
        cells = [row.name, str(len(row.seeds))]
        for name in metrics:
            beaten = all(own["gains"][name]["beats"] for own in row.shortcuts.values() if name in own["gains"])
            spread = f" ± {values[name].std:.3f}" if values[name].std else ""
            cells.append(f"{values[name].mean:.3f}{spread}{'' if beaten else NOT_BEATEN}")
        cells.append(_interval(values[metrics[0]].ci95))
        for metric in compared:
            found = with_first.get((row.name, metric))
            clear = " \\*" if found and found.p_holm < SIGNIFICANT else ""
            cells.append(f"{_points(found.difference)} ({_span(found)}){clear}" if found else "")
        if has_glances:
            cells.append(f"{row.glances.rank.mean:.3f}" if row.glances else "")
        yield _row([*cells, *_costs(row)])
    for name, own in next((row.shortcuts for row in dataset.systems if row.shortcuts), {}).items():
        reached = ["" if own[metric] is None else f"{own[metric]:.3f}" for metric in metrics]
        middle = next((row.glances.middle_rank for row in dataset.systems if row.glances), None)
        glances = [f"{middle:.3f}" if middle and name == "middle first" else ""] if has_glances else []
        interval = _interval(own["ci95"].get(metrics[0]))
        yield _row([f"*{name}*", "", *reached, interval, *([""] * len(compared)), *glances, "", ""])
    yield ""
    if is_column or not dataset.comparisons:
        return
    yield from _head(["paired, in points", "metric", "difference", "95 %", "p (Holm)"])
    for found in dataset.comparisons:
        p = "< 0.001" if found.p_holm < 0.001 else f"{found.p_holm:.3f}"
        yield _row([f"{found.a} - {found.b}", METRIC_NAMES[found.metric], _points(found.difference), _span(found), p])
    yield ""


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"


def _span(found: Comparison) -> str:
    return " to ".join(map(_points, found.ci95))


def _costs(row: SystemResult) -> list[str]:
    """Parameters, and processor seconds of one training."""
    if row.cost is None or row.steps is None:
        return ["", ""]
    count = row.cost.parameters
    seconds = row.cost.seconds_per_1000_steps * row.steps["last"] / 1000
    size = f"{count / 1e6:.2f} M" if count >= 1e4 else f"{count:.0f}"
    return [size, f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"]


def _interval(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"


def _head(columns: Sequence[str]) -> list[str]:
    return [_row(columns), "|---|" + "--:|" * (len(columns) - 1)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="Markdown page with marked blocks")
    parser.add_argument("results", type=Path, nargs="+", help="folders of amiss bench")
    arguments = parser.parse_args()
    for name in write_page(arguments.page, arguments.results):
        print(f"{name}: replaced")


if __name__ == "__main__":
    main()
