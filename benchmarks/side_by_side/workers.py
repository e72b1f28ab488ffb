"""The other end of `evaluators.py`: start a contender's process, and ask it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Self

from moalloy_md.errors import MoAlloyError

_SCRIPT = Path(__file__).with_name("evaluators.py")
_LOG_LINES = 15


def openmp_environment(*, threads: int, bind: bool) -> dict[str, str]:
    """Return the environment that every contender gets.

    `bind` keeps each thread on one core, as Kokkos, and so symmetrix-xl, recommends.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "KOKKOS_"))
        and name not in ("PYTHONPATH", "PYTHONHOME")
    }
    binding = {"OMP_PROC_BIND": "spread", "OMP_PLACES": "threads"}
    return {
        **environment,
        "OMP_NUM_THREADS": str(threads),
        "KOKKOS_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",  # or it starts threads inside of others' threads
        "PYTHONWARNINGS": "ignore",
        **(binding if bind else {"OMP_PROC_BIND": "false"}),
    }


class Worker:
    """A process that evaluates on request.

    Parameters
    ----------
    name
        For messages.
    python
        The interpreter of its environment.
    environment
        All variables that it gets.
    log
        File that takes what it prints.
    """

    def __init__(self, name: str, *, python: Path, environment: dict[str, str], log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("w") as stream:
            self._process = subprocess.Popen(
                [str(python), "-P", str(_SCRIPT)],  # -P: its neighbours are no one's packages
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises
        ------
        MoAlloyError
            If the process has failed; with the end of what it printed.
        """
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101
        line = ""
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            pass  # it has ended, which is said below
        if not line:
            raise MoAlloyError(
                f"{self.name}: expected an answer to {do!r}, found that its process ended with "
                f"{self._process.wait()}. Its last words:\n{self._last_words()}"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise MoAlloyError(f"{self.name}: {answer['error']}\n{self._last_words()}")
        return answer

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
