"""symmetrix-xl from its PyPI wheel in an environment of its own, and models in its format."""

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moalloy_md.errors import MoAlloyError
from moalloy_md.lammps.installation import cache_folder

SYMMETRIX = "symmetrix-xl==0.1.1"
_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"

#: matscipy, because without it symmetrix-xl lists neighbours with ASE's slow Python code.
_PACKAGES = (SYMMETRIX, "matscipy")


@dataclass(frozen=True)
class Mode:
    """A way to run symmetrix-xl.

    Attributes
    ----------
    options
        Of its calculator's constructor.
    environment
        Variables for its process.
    supported
        False for what its authors advise against.
    """

    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    supported: bool = True


#: README.md says how these were found.
SYMMETRIX_MODES = {
    # edges streamed through kernels that are compiled for the model and the processor; "capacity"
    "default": Mode(),
    "speed": Mode({"execution_profile": "speed"}),
    # as good as no skin: no edge is evaluated for nothing, and neighbours are not listed again
    "exact edges": Mode({"neighbor_skin": 0.01}),
    "non-compiled": Mode({"streamed_edges": "non-compiled"}),
    # "unsafe" is its authors' word: threads that call OpenBLAS at the same time may corrupt results
    "unsafe BLAS": Mode(environment={"SYMMETRIX_HOST_WORKER_BLAS": "unsafe"}, supported=False),
}
SYMMETRIX_FAST_MODES = ("default", "speed", "exact edges", "unsafe BLAS")

#: The converter needs torch and mace-torch, which our environment has; only the converter itself
#: comes from the other one.
_CONVERT = """
import sys
sys.path.append(sys.argv.pop(1))
from symmetrix.cli.extract_mace import main
sys.exit(main())
"""


def benchmark_cache() -> Path:
    """Folder for what is made once: environments, models; MOALLOY_CACHE moves it."""
    folder = cache_folder() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def symmetrix_python() -> Path:
    """Return the Python of an environment with symmetrix-xl; made at the first call.

    Raises
    ------
    MoAlloyError
        If there is no C++ compiler, which its best mode needs, or pip fails.
    """
    if shutil.which("c++") is None:
        raise MoAlloyError(
            "symmetrix-xl: expected a C++ compiler (c++), found none. It compiles its kernels for "
            "each model; install g++, or leave it out with --no-symmetrix"
        )
    folder = benchmark_cache() / f"{SYMMETRIX.replace('==', '-')}-py{sys.version_info.minor}"
    python, ready = folder / "bin" / "python", folder / ".ready"
    wanted = "\n".join(_PACKAGES) + "\n" + _CONSTRAINTS.read_text()
    if not (ready.is_file() and ready.read_text() == wanted):
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], "make its environment")
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        _run([*pip, "--constraint", str(_CONSTRAINTS), *_PACKAGES], "install it")
        ready.write_text(wanted)
    return python


def convert_for_symmetrix(model: Path, out: Path, python: Path) -> None:
    """Write a mace-torch ``.model`` in the format of symmetrix-xl: compact, all elements."""
    [packages] = (python.parent.parent / "lib").glob("python3*/site-packages")
    temporary = out.with_suffix(".part")
    arguments = [str(packages), "--model", str(model), "--output", str(temporary)]
    _run([sys.executable, "-W", "ignore", "-c", _CONVERT, *arguments], f"convert {model.name}")
    temporary.rename(out)


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise MoAlloyError(f"symmetrix-xl: could not {what}: {command[0]} said\n{tail}")
