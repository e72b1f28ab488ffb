"""The numbers of a study: one row an evaluation, and means over folds that say which they are of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.rundir import read_json
from moalloy_md.workflows.study.config import StudyConfig
from moalloy_md.workflows.study.plan import RUNS, Run
from moalloy_md.workflows.study.run import status

#: Numbers of a row: where they are in ``metrics.json``.
NUMBERS: dict[str, tuple[str, ...]] = {
    "energy_mae_mev_per_atom": ("energy_mae_mev_per_atom",),
    "energy_rmse_mev_per_atom": ("energy_rmse_mev_per_atom",),
    "shifted_energy_mae_mev_per_atom": ("shifted", "energy_mae_mev_per_atom"),
    "shifted_energy_rmse_mev_per_atom": ("shifted", "energy_rmse_mev_per_atom"),
    "oracle_energy_mae_mev_per_atom": ("oracle", "energy_mae_mev_per_atom"),
    "oracle_energy_rmse_mev_per_atom": ("oracle", "energy_rmse_mev_per_atom"),
    "force_mae_mev_per_angstrom": ("force_mae_mev_per_angstrom",),
    "force_rmse_mev_per_angstrom": ("force_rmse_mev_per_angstrom",),
    "force_vector_mae_mev_per_angstrom": ("force_vector_mae_mev_per_angstrom",),
    "force_vector_rmse_mev_per_angstrom": ("force_vector_rmse_mev_per_angstrom",),
    "mean_abs_force_mev_per_angstrom": ("mean_abs_force_mev_per_angstrom",),
    "force_r2": ("force_r2",),
    "force_slope": ("force_slope",),
    "substitution_mae_mev": ("dilute", "substitution", "mae_mev"),
    "shifted_substitution_mae_mev": ("shifted", "substitution_mae_mev"),
    "binding_mae_mev": ("dilute", "binding", "mae_mev"),
    "binding_mean_abs_mev": ("dilute", "binding", "mean_abs_mev"),
    "binding_sign_agreement": ("dilute", "binding", "sign_agreement"),
    "binding_rank_correlation": ("dilute", "binding", "rank_correlation"),
    "relaxation_mae_mev": ("dilute", "relaxation", "mae_mev"),
    "relaxation_mean_abs_mev": ("dilute", "relaxation", "mean_abs_mev"),
    "n_cells": ("n_cells",),
    "n_groups": ("n_groups",),
}


@dataclass(frozen=True)
class Row:
    """One evaluation of one run."""

    run: str
    """Name of the run: the folder below ``runs``."""
    evaluation: str
    """``evaluate``; ``evaluate-old`` for the cells without the new elements."""
    protocol: str
    kind: str
    label: str
    fraction: float
    paradigm: str
    paradigm_kind: str
    size: str
    proxies: str
    """Elements of the test set for which others stood in, such as ``Hf=Zr``."""
    wall_s: float | None
    """How long the run took since it was last started, s."""
    numbers: dict[str, float | None] = field(default_factory=dict)
    """By the names in `NUMBERS`; None where there is none."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, one level deep."""
        content = asdict(self)
        return {**{k: v for k, v in content.items() if k != "numbers"}, **self.numbers}


@dataclass(frozen=True)
class Mean:
    """A number over folds."""

    mean: float
    std: float | None
    """Sample standard deviation (n − 1), as in the paper's Table 2; None of a single fold."""
    n: int
    runs: tuple[str, ...]
    """The evaluations that it is of: ``run/evaluation``."""


def collect(out: Path, config: StudyConfig, runs: Sequence[Run]) -> list[Row]:
    """Read the evaluations of all runs that are done.

    Raises
    ------
    RunDirectoryError
        If the file of one is damaged.
    """
    rows = []
    for run in runs:
        found = status(out, run)
        if found.state != "done":
            continue
        folder = out / RUNS / run.name
        for path in sorted(folder.glob("evaluate*/metrics.json")):
            content = read_json(path)
            rows.append(
                Row(
                    run=run.name,
                    evaluation=path.parent.name,
                    protocol=run.protocol,
                    kind=run.kind,
                    label=run.label,
                    fraction=run.fraction,
                    paradigm=run.paradigm,
                    paradigm_kind=config.paradigms[run.paradigm].kind,
                    size=run.size,
                    proxies=" ".join(f"{x}={y}" for x, y in content["proxies"].items()),
                    wall_s=found.wall_s,
                    numbers={name: _at(content, where) for name, where in NUMBERS.items()},
                )
            )
    return rows


def _at(content: Any, where: Sequence[str]) -> float | None:
    for key in where:
        if content is None:
            return None
        content = content.get(key)
    return None if content is None else float(content)


def means(rows: Sequence[Row]) -> dict[str, Mean]:
    """Average each number over rows; those that a row lacks are averaged over the others."""
    found = {}
    for name in NUMBERS:
        members = [(row, row.numbers[name]) for row in rows if row.numbers.get(name) is not None]
        if not members:
            continue
        values = np.array([value for _, value in members], dtype=np.float64)
        found[name] = Mean(
            mean=float(values.mean()),
            std=float(values.std(ddof=1)) if len(values) > 1 else None,
            n=len(values),
            runs=tuple(f"{row.run}/{row.evaluation}" for row, _ in members),
        )
    return found


def groups(rows: Sequence[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """Put rows together that agree in some of their fields, in the order of their first one."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(getattr(row, key) for key in keys), []).append(row)
    return found


def outlier(rows: Sequence[Row], named: str | None) -> str | None:
    """Held-out element to leave out of the second mean: the named one, or that of largest error."""
    labels = {row.label for row in rows}
    if named is not None:
        return named if named in labels else None
    if len(labels) < 3:
        return None
    worst = max(rows, key=lambda row: row.numbers["energy_mae_mev_per_atom"] or 0.0)
    return worst.label


def representative_row(rows: Sequence[Row]) -> Row:
    """Row whose energy MAE is nearest to the mean of all, as the paper chooses its pictures."""
    name = "energy_mae_mev_per_atom"
    values = [row.numbers[name] or 0.0 for row in rows]
    middle = float(np.mean(values))
    return rows[int(np.argmin([abs(value - middle) for value in values]))]


def summary(rows: Sequence[Row], named_outlier: str | None) -> list[dict[str, Any]]:
    """Means over folds by protocol, fraction, paradigm, size and evaluation, ready for JSON."""
    entries = []
    keys = ("protocol", "kind", "fraction", "paradigm", "paradigm_kind", "size", "evaluation")
    for key, members in groups(rows, *keys).items():
        entry: dict[str, Any] = dict(zip(keys, key, strict=True))
        entry["labels"] = [row.label for row in members]
        entry["mean"] = _plain(means(members))
        left_out = outlier(members, named_outlier) if entry["kind"].startswith("lodo") else None
        entry["outlier"] = left_out
        if left_out is not None:
            rest = [row for row in members if row.label != left_out]
            entry["mean_without_outlier"] = _plain(means(rest))
        entries.append(entry)
    return entries


def _plain(found: Mapping[str, Mean]) -> dict[str, Any]:
    return {name: {**asdict(mean), "runs": list(mean.runs)} for name, mean in found.items()}
