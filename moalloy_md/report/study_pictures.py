"""Which pictures a study's report shows, and of which rows."""

from collections.abc import Sequence
from pathlib import Path

from moalloy_md.report.page import Picture
from moalloy_md.report.study_plots import (
    CurvePoint,
    Panel,
    learning_curve,
    lodo_bars,
    parity_picture,
)
from moalloy_md.report.study_tables import learning_rows
from moalloy_md.workflows.study.plan import RUNS
from moalloy_md.workflows.study.results import (
    Row,
    groups,
    means,
    proxy_label,
    representative_row,
    series_name,
)

_ENERGY = ("energy_mae_mev_per_atom", "energy MAE (meV/atom)")
_FORCE = ("force_mae_mev_per_angstrom", "force MAE (meV/Å)")
_MEAN_FORCE = "mean_abs_force_mev_per_angstrom"
_IS_MEAN_FORCE = "mean |F|, the error of predicting no force"


def study_pictures(out: Path, rows: Sequence[Row]) -> dict[str, Picture]:
    """Draw all pictures of a study.

    Parameters
    ----------
    out
        Folder of the study.
    rows
        Its evaluations.

    Returns
    -------
    dict
        By name of file, without its ending.
    """
    found: dict[str, Picture] = {}
    iid = [row for row in rows if row.kind == "iid" and row.fraction == 1]
    for (protocol,), members in groups(iid, "protocol").items():
        chosen = [representative_row(m) for m in groups(members, "paradigm", "size").values()]
        for quantity in ("energy", "force"):
            panels = [
                _panel(out, row, f"{series_name([row])}\nfold {row.label}", quantity)
                for row in chosen
            ]
            found[f"parity_{quantity}_{protocol}"] = Picture(
                parity_picture(panels, quantity),
                f"Predicted against reference {quantity}, {protocol}: for each model the fold whose "
                "energy error is nearest to the mean over folds.",
            )
    lodo = [row for row in rows if row.kind.startswith("lodo")]
    if lodo:
        found |= _lodo_bars(lodo) | _lodo_parity(out, lodo)
    return found | _curves(rows)


def _panel(out: Path, row: Row, title: str, quantity: str) -> Panel:
    n = row.numbers
    if quantity == "energy":
        note = (
            f"MAE {n['energy_mae_mev_per_atom']:.1f} meV/atom\n"
            f"RMSE {n['energy_rmse_mev_per_atom']:.1f} meV/atom"
        )
    else:
        known = ((name, n[key]) for name, key in (("R²", "force_r2"), ("slope", "force_slope")))
        beside = ", ".join(f"{name} {value:.2f}" for name, value in known if value is not None)
        note = (
            f"MAE {n['force_mae_mev_per_angstrom']:.1f} meV/Å\n"
            f"mean |F| {n[_MEAN_FORCE]:.0f} meV/Å\n{beside}"
        )
    return Panel(title, out / RUNS / row.run / row.evaluation / "predictions.extxyz", note)


def _lodo_bars(rows: Sequence[Row]) -> dict[str, Picture]:
    def by_series(key: str) -> dict[str, dict[str, float]]:
        return {
            f"{members[0].protocol}: {series_name(members)}": {
                row.label: value for row in members if (value := row.numbers[key]) is not None
            }
            for members in groups(rows, "protocol", "paradigm", "size").values()
        }

    found = {}
    for name, (key, ylabel) in (("lodo_energy", _ENERGY), ("lodo_force", _FORCE)):
        forces = name == "lodo_force"
        caption = f"{ylabel} by the dopant that was held out"
        found[name] = Picture(
            lodo_bars(
                by_series(key), ylabel=ylabel, marks=by_series(_MEAN_FORCE) if forces else {}
            ),
            f"{caption}; lines: {_IS_MEAN_FORCE}." if forces else f"{caption}.",
        )
    return found


def _lodo_parity(out: Path, rows: Sequence[Row]) -> dict[str, Picture]:
    found = {}
    for (protocol, paradigm, size), members in groups(rows, "protocol", "paradigm", "size").items():
        for quantity in ("energy", "force"):
            panels = []
            for row in members:
                label = proxy_label([row])
                title = f"{row.label}, {label}" if label else row.label
                panels.append(_panel(out, row, title, quantity))
            found[f"lodo_parity_{quantity}_{protocol}_{paradigm}_{size}"] = Picture(
                parity_picture(panels, quantity),
                f"Predicted against reference {quantity} of each held-out dopant, {protocol}: "
                f"{series_name(members)}.",
            )
    return found


def _curves(rows: Sequence[Row]) -> dict[str, Picture]:
    chosen = learning_rows(rows)
    if not chosen:
        return {}
    found = {}
    for name, (key, ylabel) in (
        ("learning_curve_energy", _ENERGY),
        ("learning_curve_force", _FORCE),
    ):
        forces = name == "learning_curve_force"
        levels = _mean_forces(chosen) if forces else {}
        caption = (
            f"{ylabel} against the number of training cells; bars: standard deviation over folds"
        )
        found[name] = Picture(
            learning_curve(curves(chosen, key), ylabel=ylabel, levels=levels),
            f"{caption}; dotted: {_IS_MEAN_FORCE}." if forces else f"{caption}.",
        )
    return found


def curves(rows: Sequence[Row], key: str) -> dict[str, list[CurvePoint]]:
    """Average a number over the folds of each size of the training set.

    Parameters
    ----------
    rows
        Of trained models under random splits.
    key
        Name of the number.

    Returns
    -------
    dict
        By model and protocol: folds of different protocols are no repeats of each other.
    """
    found: dict[str, list[CurvePoint]] = {}
    for members in groups(rows, "paradigm", "size", "protocol", "fraction").values():
        mean = means(members).get(key)
        cells = [row.n_train for row in members if row.n_train is not None]
        if mean is None or not cells:
            continue
        point = CurvePoint(sum(cells) / len(cells), mean.mean, mean.std or 0.0)
        found.setdefault(f"{series_name(members)} ({members[0].protocol})", []).append(point)
    return found


def _mean_forces(rows: Sequence[Row]) -> dict[str, float]:
    return {
        f"mean |F| ({protocol})": mean.mean
        for (protocol,), members in groups(rows, "protocol").items()
        if (mean := means(members).get(_MEAN_FORCE)) is not None
    }
