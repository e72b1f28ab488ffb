"""The energies of dilute alloys as a table, one line each: ``dilute.csv`` of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from moalloy_md.datasets.frames import Frame
from moalloy_md.elements import atomic_number, pairs_text
from moalloy_md.potentials.dilute import DiluteEnergy, DiluteErrors, pair_contacts
from moalloy_md.potentials.proxy import proxies_of


def dilute_rows(
    dilute: Mapping[str, DiluteErrors],
    test: Sequence[Frame],
    train: Sequence[Frame],
    proxies: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Say of each energy what it is of, what reference and model say, and which cells it is from.

    Parameters
    ----------
    dilute
        From `moalloy_md.potentials.dilute.dilute_errors`.
    test, train
        The cells that it was given, as frames and partners.
    proxies
        Elements that a model lacks, and which stand in for them.

    Returns
    -------
    list
        Energies in meV per cell. ``test_frames`` and ``train_frames`` count from 0 in
        ``predictions.extxyz`` and ``train_predictions.extxyz``; lists within a field are
        separated by spaces, groups by ``;``.
    """
    return [
        _row(kind, energy, test, train, proxies)
        for kind, errors in dilute.items()
        for energy in errors.energies
    ]


def cells_of(energy: DiluteEnergy, test: Sequence[Frame], train: Sequence[Frame]) -> list[Frame]:
    """Return the cells of an energy, the one with the most dopants first."""
    return [test[k] if k >= 0 else train[-1 - k] for k in energy.cells]


def _row(
    kind: str,
    energy: DiluteEnergy,
    test: Sequence[Frame],
    train: Sequence[Frame],
    proxies: Mapping[str, str],
) -> dict[str, Any]:
    cells = cells_of(energy, test, train)
    first = cells[0]
    dopants = sorted((x for x in first.atoms.symbols if x != first.host), key=atomic_number)
    contacts = pair_contacts(first) if kind == "binding" else None
    return {
        "kind": kind,
        "name": energy.name,
        "host": first.host,
        "dopants": " ".join(dopants),
        "shell": "" if contacts is None else contacts[0],
        "contacts": "" if contacts is None else contacts[1],
        "state": " ".join(dict.fromkeys(frame.state for frame in cells)),
        "n_atoms": energy.n_atoms,
        "reference_mev": f"{energy.reference_mev:.4f}",
        "predicted_mev": f"{energy.predicted_mev:.4f}",
        "error_mev": f"{energy.error_mev:.4f}",
        "proxy": pairs_text(proxies_of(cells, proxies)),
        "test_frames": " ".join(str(k) for k in energy.cells if k >= 0),
        "train_frames": " ".join(str(-1 - k) for k in energy.cells if k < 0),
        "groups": "; ".join(dict.fromkeys(frame.group for frame in cells)),
    }
