"""Checks of `moalloy doctor`: lmp, MPI, the compiler and the plugin."""

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path

from moalloy_md.lammps.installation import (
    TORCH_PLUGIN,
    lammps_environment,
    lmp_executable,
    mpi_folder,
    mpiexec,
    native_plugin,
    torch_plugin,
)
from moalloy_md.lammps.plugin import check_loads, lammps_version
from moalloy_md.workflows.doctor.finding import Finding
from moalloy_md.workflows.doctor.probes import (
    MODEL,
    NATIVE_MODEL,
    finish,
    last_line,
    probe,
    two_atoms,
)

_TIMEOUT_S = 60.0
#: Largest difference between lmp and mace-torch, double precision, eV per atom.
ENERGY_LIMIT_EV_PER_ATOM = 1e-6

_EMPTY_BOX = "region box block 0 4 0 4 0 4\ncreate_box 1 box\n"


def lmp() -> str:
    """Start the real lmp binary."""
    return f"{lammps_version()}, {lmp_executable()}"


def mpi() -> str:
    """Start two ranks of lmp and see that they are two ranks of one run."""
    launcher = mpiexec()
    status, output = _run_input(
        [launcher, "-n", "2", lmp_executable()], _EMPTY_BOX, env=lammps_environment()
    )
    grid = re.search(r"(\d+) by (\d+) by (\d+) MPI processor grid", output)
    ranks = 0 if grid is None else int(grid[1]) * int(grid[2]) * int(grid[3])
    if status != 0 or ranks != 2:
        raise Finding(
            f"expected {launcher} to start 2 ranks of lmp, found {ranks} and status {status}: "
            f"{last_line(output)}"
        )
    return f"2 ranks start; MPICH {metadata.version('mpich')}, {mpi_folder()}"


def compiler() -> str:
    """Find the C++ compiler that CMake would take; only compiling the plugin needs one."""
    candidates = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    found = next((path for name in candidates if name and (path := shutil.which(name))), None)
    if found is not None:
        answer = subprocess.run(
            [found, "--version"], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
        version = (answer.stdout.splitlines() or ["version unknown"])[0]
        return f"{found}: {version}"
    if torch_plugin().exists():
        raise Finding(
            "none; the plugin is built, but the next update of torch or lammps will need one",
            status="warning",
        )
    raise Finding("expected a C++ compiler for the plugin, which is not built yet, found none")


def plugin() -> str:
    """See that the plugin is there for exactly this torch and lammps, and that lmp loads it."""
    path = torch_plugin()
    versions = f"lammps {metadata.version('lammps')} and torch {metadata.version('torch')}"
    if not path.exists():
        others = len(list(path.parent.parent.glob(f"*/{TORCH_PLUGIN}")))
        beside = f" ({others} for other versions or environments)" if others else ""
        raise Finding(
            f"expected the plugin for {versions} at {path}, found none{beside}",
            mend="Run: moalloy plugin build",
        )
    check_loads(path)
    return f"loads; built for {versions}: {path}"


def native() -> str:
    """See that the native plugin is there for exactly this lammps, and that lmp loads it."""
    path = native_plugin()
    versions = f"lammps {metadata.version('lammps')}"
    if not path.exists():
        raise Finding(
            f"expected the plugin for {versions} at {path}, found none: the package was built "
            "with another lammps",
            mend="Run: moalloy plugin build",
        )
    check_loads(path, style="mace/native")
    return f"loads; built for {versions}: {path}"


def two_atom_energy(style: str) -> str:
    """Compare lmp with mace-torch on two atoms and a model with random weights."""
    from moalloy_md.lammps.single_point import single_point

    with tempfile.TemporaryDirectory(prefix="moalloy-doctor-") as name:
        folder = Path(name)
        expected = float(probe("model", folder)["energy_ev"])
        point = single_point(
            two_atoms(),
            potential=folder / (MODEL if style == "mace" else NATIVE_MODEL),
            elements=["Mo", "W"],
            run_dir=folder / "lmp",
            style=style,
        )
    difference = abs(point.energy_ev - expected) / 2
    numbers = f"lmp {point.energy_ev:.6f} eV, mace-torch {expected:.6f} eV"
    # written so that nan fails
    if not difference <= ENERGY_LIMIT_EV_PER_ATOM:
        raise Finding(
            f"expected the same energy to {ENERGY_LIMIT_EV_PER_ATOM:g} eV/atom, found {numbers}"
        )
    return f"{numbers}, difference {difference:.0e} eV/atom"


def lmp_script() -> str:
    """See that the lmp that a user types finds the plugins by itself, through the entry point.

    Those that are there: that one is missing is told by its own check, and no reason why lmp or the
    other one should not work.
    """
    script = Path(sysconfig.get_path("scripts")) / "lmp"
    if not script.is_file():
        raise Finding(f"expected the lmp script at {script}, found none")
    env = {name: value for name, value in os.environ.items() if name != "LAMMPS_PLUGIN_PATH"}
    status, output = _run_input([script], "plugin list\n", env=env)
    if "Traceback" in output:
        raise Finding(
            f"{script} fails before LAMMPS starts: {last_line(output)}",
            mend="A package in this environment has a broken lammps.plugins entry point: "
            "uninstall the one that the traceback of 'lmp -help' names",
        )
    there = [
        style
        for style, path in (("mace/native", native_plugin()), ("mace", torch_plugin()))
        if path.exists()
    ]
    found = [style for style in there if re.search(rf"pair style plugin {style}\s", output)]
    missing = [style for style in there if style not in found]
    if status != 0 or missing:
        raise Finding(
            f"expected {script} to find pair_style {' and '.join(missing or there)} by itself, "
            f"found {' and '.join(found) or 'none'}"
            + (f", status {status}: {last_line(output)}" if status != 0 else ""),
            mend="Run: moalloy plugin build --force"
            if found
            else "Install moalloy_md again, its entry point is missing: "
            "pip install --force-reinstall --no-deps moalloy_md",
        )
    typed = shutil.which("lmp")
    if typed is not None and Path(typed).resolve() != script.resolve():
        raise Finding(
            f"{script} finds the plugins by itself, but 'lmp' is another program here: {typed}",
            mend=f"Activate this environment: . {script.parent}/activate",
            status="warning",
        )
    return f"finds {' and '.join(found) or 'LAMMPS'} by itself: {script}"


def _run_input(command: list[str | Path], text: str, *, env: dict[str, str]) -> tuple[int, str]:
    """Run lmp on an input in a temporary folder; return its status and all that it printed."""
    with tempfile.TemporaryDirectory(prefix="moalloy-doctor-") as name:
        folder = Path(name)
        (folder / "in.doctor").write_text(text)
        return finish(
            [*command, "-in", "in.doctor", "-log", "none"],
            folder=folder,
            env=env,
            timeout_s=_TIMEOUT_S,
        )
