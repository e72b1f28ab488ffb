"""``moalloy analyze``: one topic of one trajectory, frame by frame, resumable."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.analysis.quantities import mean_of
from moalloy_md.analysis.topics.base import Measure, Table, TopicSettings
from moalloy_md.analysis.topics.clusters import Clusters, ClusterSettings
from moalloy_md.analysis.topics.defects import Defects, DefectSettings
from moalloy_md.analysis.topics.dislocations import Dislocations, DislocationSettings
from moalloy_md.analysis.topics.grains import Grains, GrainSettings
from moalloy_md.analysis.topics.msd import MeanSquaredDisplacement, MsdSettings
from moalloy_md.analysis.topics.rdf import RadialDistributions, RdfSettings
from moalloy_md.analysis.topics.sro import ShortRangeOrder, SroSettings
from moalloy_md.analysis.topics.structure import Structure, StructureSettings
from moalloy_md.analysis.topics.voronoi import Voronoi, VoronoiSettings
from moalloy_md.analysis.trajectory import Frame, Trajectory
from moalloy_md.rundir import now, open_run, replacing, write_json
from moalloy_md.workflows.analyze.files import trajectory_files

RESULTS = "results.json"
KIND = "analyze"
_ROWS = ".frames.jsonl"  # rows of frames that are done; a kill costs the frame at hand

#: Settings and measure of each topic.
TOPICS: dict[str, tuple[type[TopicSettings], type[Any]]] = {
    "structure": (StructureSettings, Structure),
    "defects": (DefectSettings, Defects),
    "sro": (SroSettings, ShortRangeOrder),
    "clusters": (ClusterSettings, Clusters),
    "voronoi": (VoronoiSettings, Voronoi),
    "dislocations": (DislocationSettings, Dislocations),
    "grains": (GrainSettings, Grains),
    "rdf": (RdfSettings, RadialDistributions),
    "msd": (MsdSettings, MeanSquaredDisplacement),
}

#: Called with the number of frames that are done and that of all.
Watch = Callable[[int, int], None]


def default_out(run: Path, topic: str) -> Path:
    """Return where the results of a run go unless said: into the run folder, or beside the file."""
    if run.is_file():
        return run.parent / f"{run.name}-analysis" / topic
    return run / "analysis" / topic


def analyze(
    settings: TopicSettings,
    run: Path,
    *,
    out: Path,
    watch: Watch = lambda _done, _total: None,
) -> dict[str, Any]:
    """Measure one topic along a trajectory, with one frame in memory at a time.

    Parameters
    ----------
    settings
        Of a topic in `TOPICS`.
    run
        What `moalloy_md.workflows.analyze.files.trajectory_files` takes.
    out
        Folder of the results: ``results.json``, ``frames.csv`` (a row for each frame), a CSV file
        for each table, plots as PNG and PDF, ``picture.png``. The same call takes up a killed one,
        and new frames of a run that goes on.
    watch
        Told of each frame.

    Returns
    -------
    dict
        The content of ``results.json``.

    Raises
    ------
    DataError
        If there are no frames, one is broken, or the topic does not apply to them.
    OvitoError
        If OVITO, or a system library that it needs, is missing.
    RunDirectoryError
        If `out` holds something else, or results with other settings.
    """
    topic: str = settings.kind  # type: ignore[attr-defined]
    files = trajectory_files(run, first_step=settings.first_step)
    trajectory = Trajectory(files, elements=settings.elements, every=settings.every)
    measure = _measure(settings, trajectory)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = open_run(
        out,
        kind=f"{KIND} {topic}",
        config={"run": str(run.resolve()), **settings.model_dump(mode="json")},
        packages=("ovito", "numpy"),
    )
    rows, last = _rows(measure, trajectory, out, watch)
    results = _results(topic, run, measure, trajectory, rows)
    _write(out, measure, results, rows, last, picture=settings.picture)
    folder.update_manifest(finished=now())
    return results


def _measure(settings: TopicSettings, trajectory: Trajectory) -> Measure:
    options: dict[str, Any] = {"n_frames": len(trajectory.addresses), "settings": settings}
    if isinstance(settings, DefectSettings):
        first = trajectory.addresses[0]
        options["first_frame"] = (first.file, first.index)
    made: Measure = TOPICS[settings.kind][1](**options)  # type: ignore[attr-defined]
    return made


@dataclass(frozen=True)
class Row:
    """What is kept of a frame."""

    key: str
    step: int
    time_ps: float | None
    n_atoms: int
    values: dict[str, float]


def _rows(
    measure: Measure, trajectory: Trajectory, out: Path, watch: Watch
) -> tuple[list[Row], Frame]:
    """Measure all frames that are not measured yet, and the last one for its picture."""
    done = _read_rows(out / _ROWS) if measure.resumable else {}
    # read once: a file that LAMMPS writes on meanwhile keeps the names that its frames have now
    keys = {address: address.key for address in trajectory.addresses}
    final, number = trajectory.addresses[-1], dict(zip(keys, range(1, len(keys) + 1), strict=True))
    last = None
    with (out / _ROWS).open("a" if done else "w") as store:
        # the last frame is always read: it is drawn, and names the columns
        for frame in trajectory.frames(known=lambda a: keys[a] in done and a != final):
            values = measure.see(frame)
            key = keys[frame.address]
            row = Row(key, frame.step, frame.time_ps, frame.n_atoms, values)
            if key not in done:
                store.write(json.dumps(row.__dict__) + "\n")
                store.flush()
            done[key] = row
            last = frame
            watch(number[frame.address], len(keys))
    rows = [done[key] for key in keys.values() if key in done]
    if last is None:  # the last frame is broken and all others are known
        address = next(a for a in reversed(trajectory.addresses) if keys[a] in done)
        last = next(trajectory.frames(known=lambda a: a != address))
        measure.see(last)
    return rows, last


def _read_rows(path: Path) -> dict[str, Row]:
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = Row(**json.loads(line))
        except (json.JSONDecodeError, TypeError):
            continue  # a kill cut it: its frame is measured again
        rows[row.key] = row
    return rows


def _results(
    topic: str,
    run: Path,
    measure: Measure,
    trajectory: Trajectory,
    rows: Sequence[Row],
) -> dict[str, Any]:
    quantities = {
        name: mean_of([row.values[name] for row in rows], label=column.label, unit=column.unit)
        for name, column in measure.columns.items()
        if column.averaged and all(name in row.values for row in rows)
    }
    quantities |= measure.quantities()
    return {
        "topic": topic,
        "run": str(run),
        "n_frames": len(rows),
        "n_atoms": rows[-1].n_atoms,
        "first_step": rows[0].step,
        "last_step": rows[-1].step,
        "quantities": {name: quantity.as_dict() for name, quantity in quantities.items()},
        "cautions": [*trajectory.left_out, *measure.cautions],
    }


def _write(
    out: Path,
    measure: Measure,
    results: dict[str, Any],
    rows: Sequence[Row],
    last: Frame,
    *,
    picture: bool,
) -> None:
    from moalloy_md.analysis.pictures import draw
    from moalloy_md.report.analyze_plots import series_figure, table_figure, write_figure

    tables = measure.tables([row.values for row in rows])
    _write_frames(out / "frames.csv", measure, rows)
    for name, table in tables.items():
        _write_table(out / f"{name}.csv", table)
        write_figure(out / name, table_figure(table))
    if len(rows) > 1 and any(column.panel for column in measure.columns.values()):
        times, x_label = _times(rows)
        figure = series_figure(
            times,
            {name: [row.values[name] for row in rows] for name in measure.columns},
            measure.columns,
            x_label=x_label,
        )
        write_figure(out / "frames", figure)
    if picture:
        measure.colour(last)
        with replacing(out / "picture.png") as temporary:
            temporary.write_bytes(draw(last.data))
    write_json(out / RESULTS, results)


def _times(rows: Sequence[Row]) -> tuple[list[float], str]:
    times = [row.time_ps for row in rows]
    if None in times:
        return [float(row.step) for row in rows], "time step"
    return [float(time or 0.0) for time in times], "time (ps)"


def _write_frames(path: Path, measure: Measure, rows: Sequence[Row]) -> None:
    names = list(measure.columns)
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "time_ps", "n_atoms", *names])
        for row in rows:
            time = "" if row.time_ps is None else row.time_ps
            writer.writerow([row.step, time, row.n_atoms, *(row.values.get(n, "") for n in names)])


def _write_table(path: Path, table: Table) -> None:
    columns: dict[str, Any] = {table.x_label: table.x}
    for curve in table.curves:
        columns[curve.label] = curve.y
        if curve.error is not None:
            columns[f"{curve.label} error"] = curve.error
        if curve.chance is not None:
            columns[f"{curve.label} chance"] = curve.chance
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(np.column_stack(list(columns.values())).tolist())
