"""What `moalloy doctor` tries in child processes, because a broken library can end its process.

``python -m moalloy_md.workflows.doctor.probes NAME FOLDER`` runs one probe and leaves
``answer.json`` in the folder: libraries may print what they like.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moalloy_md.errors import MoAlloyError
from moalloy_md.processes import running

if TYPE_CHECKING:
    from ase import Atoms

MODEL = "tiny.pt"
NATIVE_MODEL = "tiny.safetensors"
_ANSWER = "answer.json"
_TIMEOUT_S = 120.0  # a cold file system can take a minute to hand out torch
_PICTURE_PIXELS = 60

#: Libraries that the OVITO wheel expects of the system, and the Debian packages that have them.
_OVITO_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
}


class ProbeError(MoAlloyError):
    """A probe failed or its process ended; the text says how."""


def probe(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Run a probe in a child process.

    Parameters
    ----------
    name
        ``torch``, ``model`` or ``ovito``.
    folder
        Where the probe leaves its files; a temporary folder where None.

    Raises
    ------
    ProbeError
        If it fails, with its reason; also if its process crashes or does not end.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="moalloy-doctor-") as temporary:
            return probe(name, Path(temporary))
    command = [sys.executable, "-m", __name__, name, str(folder)]
    returncode, output = finish(command, folder=folder, timeout_s=_TIMEOUT_S)
    file = folder / _ANSWER
    if not file.is_file():
        raise ProbeError(f"the process that tried it {_ending(returncode)}: {last_line(output)}")
    answer: dict[str, Any] = json.loads(file.read_text())
    if "error" in answer:
        raise ProbeError(answer["error"])
    # The answer is written last and in one step, so it is whole; but a process that then fails to
    # end well would give its user a bad exit status, and that must not be lost.
    return {**answer, "ended_badly": _ending(returncode) if returncode else None}


def finish(
    command: Sequence[str | Path],
    *,
    folder: Path,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a program to its end; return its status and all that it printed.

    Raises
    ------
    ProbeError
        If it takes longer than `timeout_s`; it is ended then.
    """
    # a file, not a pipe: nothing is left open when the time is over
    with (
        (folder / "output").open("w") as sink,
        running(command, cwd=folder, env=env, stdout=sink, stderr=subprocess.STDOUT) as process,
    ):
        try:
            status = process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            name = Path(command[0]).name
            raise ProbeError(f"no answer from {name} within {timeout_s:g} s") from None
    return status, (folder / "output").read_text(errors="replace")


def last_line(text: str) -> str:
    """Last line of what a program printed."""
    return (text.strip().splitlines() or ["it printed nothing"])[-1]


def two_atoms() -> "Atoms":
    """Make a sheared cell of one Mo and one W in which no two neighbours are alike."""
    from ase import Atoms

    return Atoms(
        "MoW",
        cell=[[3.16, 0.0, 0.0], [0.21, 3.19, 0.0], [-0.16, 0.13, 3.08]],
        scaled_positions=[[0.02, 0.03, 0.01], [0.51, 0.54, 0.47]],
        pbc=True,
    )


def _ending(returncode: int) -> str:
    if returncode < 0:
        return f"crashed ({signal.Signals(-returncode).name})"
    return f"ended with status {returncode}"


def _probe_torch(_folder: Path) -> dict[str, Any]:
    from moalloy_md.potentials.torch_build import torch_build

    return asdict(torch_build())


def _probe_model(folder: Path) -> dict[str, Any]:
    """Write a tiny model for lmp; answer with mace-torch's energy (eV) of `two_atoms`."""
    from moalloy_md.potentials.export import (
        ExportSource,
        evaluate_source,
        write_native_file,
        write_torchscript,
    )
    from moalloy_md.potentials.tiny import tiny_model

    source = ExportSource(
        model=tiny_model(("Mo", "W")), head="Default", elements=["Mo", "W"], dtype="float64"
    )
    write_torchscript(source, folder / MODEL)
    write_native_file(source, folder / NATIVE_MODEL)
    return {"energy_ev": evaluate_source(source, two_atoms()).energy_ev}


def _probe_ovito(folder: Path) -> dict[str, Any]:
    """Import OVITO and draw; answer with its version and, where drawing fails, the reason."""
    from moalloy_md.analysis.ovito_support import OvitoError, load_ovito

    try:
        ovito = load_ovito()
    except OvitoError as error:
        return {"import_error": str(error), "missing": _missing_libraries()}
    answer = {"version": str(ovito.version_string), "draw_error": None}
    try:
        _draw(folder / "picture.png")
    except Exception as error:  # noqa: BLE001  whatever stops it is the answer
        answer["draw_error"] = _sentence(error)
    return answer


def _missing_libraries() -> dict[str, str]:
    missing = {}
    for library, package in _OVITO_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing[library] = package
    return missing


def _draw(path: Path) -> None:
    from ovito.io.ase import ase_to_ovito
    from ovito.pipeline import Pipeline, StaticSource
    from ovito.vis import TachyonRenderer, Viewport

    pipeline = Pipeline(source=StaticSource(data=ase_to_ovito(two_atoms())))
    pipeline.add_to_scene()
    view = Viewport(type=Viewport.Type.Ortho, camera_dir=(1, 2, -1))
    view.zoom_all()
    view.render_image(
        filename=str(path),
        size=(_PICTURE_PIXELS, _PICTURE_PIXELS),
        renderer=TachyonRenderer(ambient_occlusion=False),
    )
    pipeline.remove_from_scene()
    if not path.is_file():
        raise ProbeError("OVITO left no picture")


def _sentence(error: Exception) -> str:
    if isinstance(error, MoAlloyError):
        return str(error)
    return f"{type(error).__name__}: {error}"


_PROBES = {"torch": _probe_torch, "model": _probe_model, "ovito": _probe_ovito}


def _main(name: str, folder: Path) -> None:
    try:
        answer = _PROBES[name](folder)
    except Exception as error:  # noqa: BLE001  the parent reports it as its finding
        answer = {"error": _sentence(error)}
    partial = folder / f"{_ANSWER}.{os.getpid()}"
    partial.write_text(json.dumps(answer))
    partial.replace(folder / _ANSWER)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
