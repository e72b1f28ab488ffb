"""The numbers of a study: one row an evaluation, and means over folds that say which they are of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.datasets.frames import hash_of_hashes
from moalloy_md.datasets.split_folder import SUMMARY
from moalloy_md.elements import pairs_text
from moalloy_md.rundir import read_json
from moalloy_md.workflows.study.config import StudyConfig
from moalloy_md.workflows.study.plan import RUNS, SPLITS, Run, evaluations, training_part
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
    "oracle_substitution_mae_mev": ("oracle", "substitution_mae_mev"),
    "binding_mae_mev": ("dilute", "binding", "mae_mev"),
    "binding_mean_abs_mev": ("dilute", "binding", "mean_abs_mev"),
    "binding_sign_agreement": ("dilute", "binding", "sign_agreement"),
    "binding_rank_correlation": ("dilute", "binding", "rank_correlation"),
    "relaxation_mae_mev": ("dilute", "relaxation", "mae_mev"),
    "relaxation_mean_abs_mev": ("dilute", "relaxation", "mean_abs_mev"),
    "relaxation_sign_agreement": ("dilute", "relaxation", "sign_agreement"),
    "relaxation_rank_correlation": ("dilute", "relaxation", "rank_correlation"),
    "committee_models": ("committee", "n_models"),
    "committee_energy_mev_per_atom": ("committee", "energy_mev_per_atom"),
    "committee_energy_error_over_spread": ("committee", "energy_error_over_spread"),
    "committee_energy_rank_correlation": ("committee", "energy_rank_correlation"),
    "committee_force_mev_per_angstrom": ("committee", "force_mev_per_angstrom"),
    "committee_force_error_over_spread": ("committee", "force_error_over_spread"),
    "committee_force_rank_correlation": ("committee", "force_rank_correlation"),
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
    parent: str | None = None
    """The run whose model was refined."""
    n_train: int | None = None
    """Cells that the model was trained on, of refining those of this last training; None where it
    was not trained."""
    n_train_atoms: int | None = None
    """Atoms in these."""
    train_sha256: str = ""
    """Of the hashes of the split's training cells."""
    test_sha256: str = ""
    """Of the hashes of the split's test cells."""
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
    summary_of = cache(read_json)
    rows = []
    for run in runs:
        found = status(out, run)
        if found.state != "done":
            continue
        folder = out / RUNS / run.name
        paradigm = config.paradigms[run.paradigm]
        trained = summary_of(out / SPLITS / run.split / training_part(run, paradigm) / SUMMARY)
        counts = None if paradigm.kind == "zero-shot" else trained["counts"]["train"]
        parts = {name: part for name, part, _ in evaluations(run, paradigm)}
        for path in (folder / name / "metrics.json" for name in parts):
            content = read_json(path)
            tested = summary_of(out / SPLITS / run.split / parts[path.parent.name] / SUMMARY)
            proxies = {**_proxies_kept(folder, trained), **content["proxies"]}
            rows.append(
                Row(
                    run=run.name,
                    evaluation=path.parent.name,
                    protocol=run.protocol,
                    kind=run.kind,
                    label=run.label,
                    fraction=run.fraction,
                    paradigm=run.paradigm,
                    paradigm_kind=paradigm.kind,
                    size=run.size,
                    proxies=pairs_text(proxies),
                    wall_s=found.wall_s,
                    parent=run.parent,
                    n_train=None if counts is None else counts["frames"],
                    n_train_atoms=None if counts is None else counts["atoms"],
                    train_sha256=_hash(trained, "train"),
                    test_sha256=_hash(tested, "test"),
                    numbers={name: _at(content, where) for name, where in NUMBERS.items()},
                )
            )
    return rows


def _proxies_kept(folder: Path, trained: Mapping[str, Any]) -> dict[str, str]:
    """Proxies that a training began with for elements of which it then saw no cell.

    Such an element still has the weights of another one, if a foundation lacks a dopant that is
    strictly held out.
    """
    given: dict[str, str] = {}
    for manifest in sorted(folder.glob("train/**/manifest.json")):  # a committee has one a member
        given |= _value(read_json(manifest), ("data", "start", "proxies")) or {}
    return {x: y for x, y in given.items() if x in trained["elements_not_in_train"]}


def _hash(summary: Mapping[str, Any], part: str) -> str:
    return hash_of_hashes(summary["frame_sha256"][part])


def _at(content: Any, where: Sequence[str]) -> float | None:
    value = _value(content, where)
    return None if value is None else float(value)


def _value(content: Any, where: Sequence[str]) -> Any:
    for key in where:
        if content is None:
            return None
        content = content.get(key)
    return content


def means(rows: Sequence[Row]) -> dict[str, Mean]:
    """Average each number over rows; those that a row lacks are averaged over the others."""
    found = {}
    for name in NUMBERS:
        members = [(row, v) for row in rows if (v := row.numbers.get(name)) is not None]
        if not members:
            continue
        found[name] = over_folds(members)
    return found


def over_folds(values: Sequence[tuple[Row, float]]) -> Mean:
    """Average a number over the rows that have it."""
    numbers = np.array([value for _, value in values], dtype=np.float64)
    return Mean(
        mean=float(numbers.mean()),
        std=float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
        n=len(numbers),
        runs=tuple(f"{row.run}/{row.evaluation}" for row, _ in values),
    )


def groups(rows: Sequence[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """Put rows together that agree in some of their fields, in the order of their first one."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(getattr(row, key) for key in keys), []).append(row)
    return found


def proxy_label(rows: Iterable[Row]) -> str:
    """Say which elements stood in for which: ``proxy Hf=Zr``; empty where none did.

    Whatever shows a number of rows puts this beside it.
    """
    found = dict.fromkeys(pair for row in rows for pair in row.proxies.split())
    return f"proxy {' '.join(found)}" if found else ""


def series_name(rows: Sequence[Row]) -> str:
    """Name rows of one paradigm and size: ``fine-tune, small, proxy Hf=Zr``."""
    label = proxy_label(rows)
    return f"{rows[0].paradigm}, {rows[0].size}" + (f", {label}" if label else "")


def differences(rows: Sequence[Row], others: Sequence[Row]) -> dict[str, Mean]:
    """Average over folds what refining changed: each row less that of its parent on the same cells.

    Parameters
    ----------
    rows
        Of refined models.
    others
        Where the rows of their parents are.
    """
    of = {(row.run, row.evaluation): row for row in others}
    changed = []
    for row in rows:
        parent = of.get((row.parent or "", row.evaluation))
        if parent is None or parent.test_sha256 != row.test_sha256:
            continue
        pairs = {name: (row.numbers.get(name), parent.numbers.get(name)) for name in NUMBERS}
        numbers = {
            name: None if new is None or old is None else new - old
            for name, (new, old) in pairs.items()
        }
        changed.append(replace(row, numbers=numbers))
    return means(changed)


def outlier(rows: Sequence[Row], named: str | None) -> str | None:
    """Held-out element that the second mean of a protocol leaves out, for all its models.

    Parameters
    ----------
    rows
        Of one protocol, of all paradigms and sizes: were the worst element of each model left out,
        their means would be over different elements and could not be compared.
    named
        The element to leave out.

    Returns
    -------
    str or None
        The named one. Where none is named: the one with the largest energy MAE of the first
        fine-tuned paradigm and size, or of the first of all where none is fine-tuned. None where
        it is not held out, or fewer than three are.
    """
    labels = {row.label for row in rows}
    if named is not None:
        return named if named in labels else None
    if len(labels) < 3:
        return None
    tuned = [row for row in rows if row.paradigm_kind == "fine-tune"] or rows
    first = next(iter(groups(tuned, "paradigm", "size").values()))
    worst = max(first, key=lambda row: row.numbers["energy_mae_mev_per_atom"] or 0.0)
    return worst.label


def outliers(rows: Sequence[Row], named: str | None) -> dict[str, str | None]:
    """Return the `outlier` of each leave-one-dopant-out protocol."""
    lodo = [row for row in rows if row.kind.startswith("lodo")]
    return {
        protocol: outlier(members, named)
        for (protocol,), members in groups(lodo, "protocol").items()
    }


def representative_row(rows: Sequence[Row]) -> Row:
    """Row whose energy MAE is nearest to the mean of all, as the paper chooses its pictures."""
    name = "energy_mae_mev_per_atom"
    values = [row.numbers[name] or 0.0 for row in rows]
    middle = float(np.mean(values))
    return rows[int(np.argmin([abs(value - middle) for value in values]))]


def summary(rows: Sequence[Row], named_outlier: str | None) -> list[dict[str, Any]]:
    """Means over folds by protocol, fraction, paradigm, size and evaluation, ready for JSON."""
    entries = []
    left_out_of = outliers(rows, named_outlier)
    keys = ("protocol", "kind", "fraction", "paradigm", "paradigm_kind", "size", "evaluation")
    for key, members in groups(rows, *keys).items():
        entry: dict[str, Any] = dict(zip(keys, key, strict=True))
        entry["labels"] = [row.label for row in members]
        entry["proxies"] = proxy_label(members)
        trained = [row.n_train for row in members if row.n_train is not None]
        entry["n_train"] = float(np.mean(trained)) if trained else None
        entry["mean"] = _plain(means(members))
        if any(row.parent for row in members):
            entry["refined_less_parent"] = _plain(differences(members, rows))
        left_out = left_out_of.get(entry["protocol"])
        entry["outlier"] = left_out
        if left_out is not None:
            rest = [row for row in members if row.label != left_out]
            entry["mean_without_outlier"] = _plain(means(rest))
        entries.append(entry)
    return entries


def _plain(found: Mapping[str, Mean]) -> dict[str, Any]:
    return {name: {**asdict(mean), "runs": list(mean.runs)} for name, mean in found.items()}
