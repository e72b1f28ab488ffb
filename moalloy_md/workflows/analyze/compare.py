"""``moalloy analyze compare``: what was measured of several runs, side by side."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.errors import DataError
from moalloy_md.rundir import open_run, read_json, replacing, write_json
from moalloy_md.workflows.analyze.workflow import KIND, RESULTS

COMPARISON = "compare.json"


def compare(runs: Sequence[Path], *, out: Path) -> dict[str, Any]:
    """Compare the results of runs that were analysed.

    Parameters
    ----------
    runs
        Two or more run folders, or folders of results of one topic. The first is compared to.
    out
        Folder to make: ``compare.json``, ``compare.csv`` and a plot for each topic.

    Returns
    -------
    dict
        ``runs``; ``topics``, each a list of quantities with ``label``, ``unit`` and ``runs``: value,
        error, ``interval_95``, ``n_samples``, and ``sigmas``, the difference to the first run over
        the combined error.

    Raises
    ------
    DataError
        If there are fewer than two runs, one was not analysed, or they share no topic.
    RunDirectoryError
        If `out` holds something else.
    """
    from moalloy_md.report.analyze_plots import comparison_figure, write_figure

    if len(runs) < 2:
        raise DataError(f"compare: expected two or more runs, found {len(runs)}")
    found = [_results_of(run) for run in runs]
    shared = [t for t in found[0] if all(t in other for other in found[1:])]
    if not shared:
        listed = "; ".join(f"{run}: {', '.join(f)}" for run, f in zip(runs, found, strict=True))
        raise DataError(
            f"compare: expected a topic that all runs were analysed for, found none ({listed}): run "
            "moalloy analyze TOPIC on each"
        )
    names = _names(runs)
    topics = {topic: _side_by_side([f[topic] for f in found]) for topic in shared}
    open_run(out, kind=f"{KIND} compare", config={"runs": [str(run.resolve()) for run in runs]})
    for topic, rows in topics.items():
        if rows:
            write_figure(out / topic, comparison_figure(rows, names))
    result = {"runs": names, "topics": topics}
    _write_csv(out / "compare.csv", names, topics)
    write_json(out / COMPARISON, result)
    return result


def _results_of(run: Path) -> dict[str, dict[str, Any]]:
    """Results of a run by topic."""
    if run.is_file():
        files = sorted(run.parent.glob(f"{run.name}-analysis/*/{RESULTS}"))
    else:  # a folder of moalloy simulate has results.json too, of the simulation and without a topic
        files = [
            f for f in (run / RESULTS, *sorted(run.glob(f"analysis/*/{RESULTS}"))) if f.is_file()
        ]
    results = [result for result in map(read_json, files) if "topic" in result]
    if not results:
        raise DataError(
            f"{run}: expected a run that was analysed, found no {RESULTS} of an analysis in it: run moalloy analyze "
            "TOPIC on it first"
        )
    return {result["topic"]: result for result in results}


def _names(runs: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell the runs apart."""
    parts = [run.resolve().parts for run in runs]
    for n in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-n:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise DataError(f"compare: expected different runs, found {runs[0]} more than once")


def _side_by_side(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for result in results for name in result["quantities"])
    rows = []
    for name in names:
        quantities = [result["quantities"].get(name) for result in results]
        known = next(q for q in quantities if q is not None)
        rows.append(
            {
                "name": name,
                "label": known["label"],
                "unit": known["unit"],
                "runs": [q and {**q, "sigmas": _sigmas(quantities[0], q)} for q in quantities],
            }
        )
    return rows


def _sigmas(first: dict[str, Any] | None, other: dict[str, Any]) -> float | None:
    """Return the difference over the combined standard error; None where an error is not known."""
    if first is None or first is other or first["error"] is None or other["error"] is None:
        return None
    error = float(np.hypot(first["error"], other["error"]))
    return (other["value"] - first["value"]) / error if error > 0 else None


def _write_csv(path: Path, names: Sequence[str], topics: dict[str, list[dict[str, Any]]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["topic", "quantity", "unit", "run", "value", "error", "n_samples", "sigmas"]
        )
        for topic, rows in topics.items():
            for row in rows:
                for name, q in zip(names, row["runs"], strict=True):
                    if q is not None:
                        writer.writerow(
                            [topic, row["name"], row["unit"], name]
                            + [q[key] for key in ("value", "error", "n_samples", "sigmas")]
                        )
