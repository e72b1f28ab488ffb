"""The quickstart's report: which pictures, which words of caution, which commands."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.elements import HOST
from moalloy_md.rundir import RunDirectory
from moalloy_md.workflows.quickstart.config import QuickstartConfig
from moalloy_md.workflows.quickstart.fit import FINE_TUNED, SCRATCH
from moalloy_md.workflows.quickstart.md import warnings_about

REPORT = "report.html"

_LABELS = (
    "Energies and forces are from GPAW (PBE, plane waves to 350 eV, 3×3×3 k-points, no spin), in "
    "16-atom cells of which none is relaxed. There is no stress among the labels: the lattice "
    "parameter rests on a few strained cells."
)
_IMAGES = (
    "A pair of dopants in so small a cell also meets its own images: an isolated pair needs a "
    "larger one."
)
_PURPOSE = (
    "So few cells make a model for trying the chain, not one to publish with. No vacancy and no "
    "surface is among them: fitted to them alone, the model makes both too dear by a tenth to a "
    "third (moalloy properties shows it; method: {kind: replay} in moalloy train mends it)."
)

_PARITY_CAPTION = "The fine-tuned model's energies and forces of the test cells against DFT."
_LEARNING_CAPTION = (
    "Mean absolute errors on the validation cells during the trainings; the dots are the epochs "
    "whose weights were kept."
)
_PICTURE_CAPTION = "The last frame: {host} in grey, {dopant} in colour. Drawn by OVITO."
_HISTORY_CAPTION = (
    "Temperature and lattice parameter during the MD. So small a cell breathes: its volume rings "
    "with thermal energy, which the error bar takes into account."
)
_RDF_CAPTION = (
    "Radial distribution function, a mean over {n} frames; dashed: the neighbour shells of a "
    "perfect bcc crystal of the mean lattice parameter."
)
_RDF_CUTOFF_ANGSTROM = 7.0


def write_report(
    config: QuickstartConfig, summary: dict[str, Any], series: dict[str, Any], run: RunDirectory
) -> None:
    """Write the report of a quickstart whose steps are done.

    Parameters
    ----------
    config
        Its settings.
    summary
        Content of ``summary.json``.
    series
        Second result of `moalloy_md.workflows.quickstart.md.analyse`.
    run
        Its run directory, where the report is left.
    """
    from moalloy_md.report.plots import history_plot
    from moalloy_md.report.quickstart import Picture, write_quickstart_report

    parity_plot = (run.path / "evaluate" / FINE_TUNED / "parity.png").read_bytes()
    write_quickstart_report(
        run.path / REPORT,
        summary,
        error_pictures=[
            Picture(parity_plot, _PARITY_CAPTION),
            Picture(_learning_plot(run.path / "train"), _LEARNING_CAPTION),
        ],
        pictures=[
            *_of_atoms(config, summary, series, run.path / "md"),
            Picture(history_plot(**series), _HISTORY_CAPTION),
        ],
        caveats=[_LABELS, _IMAGES, _PURPOSE, *warnings_about(summary["md"])],
        parity=_parity_checks(summary["parity"]),
        versions=run.manifest["versions"],
        made_by=_made_by(config, summary, run.path),
        next_commands=_next_commands(run.path, config.dopant),
    )


def _parity_checks(parity: dict[str, Any]) -> list[Any]:
    from moalloy_md.report.quickstart import ParityCheck

    return [
        ParityCheck(f"{style}: {name}", found[key.format("")], found[key.format("_limit")])
        for style, found in (("mace", parity), ("mace/native", parity["native"]))
        for name, key in (
            ("energy, eV/atom", "energy{}_ev_per_atom"),
            ("force, eV/Å", "force{}_ev_per_angstrom"),
            ("stress, eV/Å³", "stress{}_ev_per_angstrom3"),
        )
    ]


def _learning_plot(folder: Path) -> bytes:
    from moalloy_md.potentials.train import HISTORY
    from moalloy_md.report.plots import LearningCurve, learning_plot

    curves = []
    for name in (FINE_TUNED, SCRATCH):
        lines = (folder / name / HISTORY).read_text().splitlines()
        history = [json.loads(line) for line in lines]
        curves.append(
            LearningCurve(
                name=name,
                epochs=[entry["epoch"] for entry in history],
                energy_mae_mev_per_atom=[1000.0 * entry["mae_e_per_atom"] for entry in history],
                force_mae_mev_per_angstrom=[1000.0 * entry["mae_f"] for entry in history],
                kept_epoch=min(history, key=lambda entry: entry["loss"])["epoch"],
            )
        )
    return learning_plot(curves)


def _of_atoms(
    config: QuickstartConfig, summary: dict[str, Any], series: dict[str, Any], folder: Path
) -> list[Any]:
    """Pictures that OVITO makes; none where it cannot be loaded, which the caveats say."""
    from moalloy_md.analysis.ovito_support import OvitoError
    from moalloy_md.analysis.pictures import draw_dopants
    from moalloy_md.analysis.radial import bcc_shells, radial_distribution
    from moalloy_md.lammps.frames import frame_files
    from moalloy_md.report.plots import distribution_plot
    from moalloy_md.report.quickstart import Picture

    lattice = summary["md"]["lattice_parameter_angstrom"]
    first_ps = np.asarray(series["time_ps"])[lattice["n_discarded"]]
    frames = frame_files(folder, first_step=round(first_ps / config.timestep_ps))
    try:
        picture = draw_dopants(frames[-1], host=HOST)
        rdf = radial_distribution(frames, cutoff_angstrom=_RDF_CUTOFF_ANGSTROM)
    except OvitoError:
        return []
    shells = bcc_shells(lattice["value"], cutoff_angstrom=_RDF_CUTOFF_ANGSTROM)
    plot = distribution_plot(rdf.distances_angstrom, rdf.values, shells_angstrom=shells)
    caption = _PICTURE_CAPTION.format(host=HOST, dopant=config.dopant)
    return [
        Picture(picture, caption),
        Picture(plot, _RDF_CAPTION.format(n=rdf.n_frames)),
    ]


def _made_by(config: QuickstartConfig, summary: dict[str, Any], out: Path) -> list[tuple[str, str]]:
    """Return the command that does each step alone, and the step."""
    from moalloy_md.datasets.bundled import bundled_path
    from moalloy_md.lammps.inputs import input_file

    data, where = shlex.quote(str(bundled_path())), shlex.quote(str(out))
    split = (
        f"moalloy dataset split {data} --protocol iid --seed {config.seed} "
        f"--test-fraction {config.test_fraction:g} --out {where}/split"
    )
    errors = (
        f"moalloy evaluate --model {where}/train/{FINE_TUNED}/model.model "
        f"--data {where}/split/test.extxyz --train {where}/split/train.extxyz "
        f"--out {where}/evaluate/{FINE_TUNED}"
    )
    md = (
        f"lmp -in {shlex.quote(str(input_file('in.npt')))} -var bundle {where}/bundle "
        f'-var elements "{HOST} {config.dopant}" -var steps {summary["md"]["steps"]} '
        f"-var temperature_k {config.temperature_k:g} -var timestep_ps {config.timestep_ps:g} "
        f"-var seed {config.seed + 1}"
    )
    return [
        (f"moalloy quickstart --out {where}", "all of it"),
        (split, "the split"),
        (errors, "the errors of the fine-tuned model"),
        (
            f"moalloy export {where}/train/{FINE_TUNED}/model.model --out {where}/bundle",
            "the bundle",
        ),
        (md, f"the MD, in {out / 'md'}"),
    ]


def _next_commands(out: Path, dopant: str) -> list[tuple[str, str]]:
    from moalloy_md.lammps.inputs import input_file

    model = out / "train" / FINE_TUNED / "model.model"
    by_hand = (
        f"mkdir npt && cd npt && lmp -in {input_file('in.npt')} -var bundle {out}/bundle "
        f'-var structure {out}/md/structure.data -var elements "{HOST} {dopant}" -var steps 10000'
    )
    return [
        (". .venv/bin/activate", "in the clone, once a shell: puts moalloy and lmp on the path"),
        (
            "moalloy dataset split DATA.extxyz --protocol lodo-strict --held-out W --out split",
            "hold one dopant out of your own cells",
        ),
        ("moalloy train CONFIG.yaml --out run", "fine-tune on them; the same command resumes"),
        (
            f"moalloy evaluate --model {model} --data DATA.extxyz --out errors",
            "errors on other cells, with predictions and a parity plot",
        ),
        (
            f"moalloy export {model} --elements {HOST},{dopant} --out bundle",
            "a smaller, faster bundle of two elements",
        ),
        (by_hand, "the same MD by hand, in a folder of its own"),
    ]
