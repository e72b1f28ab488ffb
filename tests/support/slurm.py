"""A SLURM that takes every job and does none, but remembers it until a test ends it."""

import sys

#: Takes a script; ``queue`` holds a line ``id|state`` for each job that has not ended.
_SBATCH = """
import pathlib, re, sys
folder = pathlib.Path(__file__).parent
number = int((folder / "next").read_text())
(folder / "next").write_text(str(number + 1))
(folder / "submissions").open("a").write(f"{number}\\n")
array = re.search(r"--array=0-(\\d+)", pathlib.Path(sys.argv[1]).read_text())
ids = [f"{number}_{k}" for k in range(int(array[1]) + 1)] if array else [str(number)]
(folder / "queue").open("a").writelines(f"{job}|PENDING\\n" for job in ids)
print("Submitted batch job", number)
"""

#: Answers as the real ones do where they are asked for ``%i|%T``, and for JobID and State.
_SQUEUE = """
import pathlib, sys
folder = pathlib.Path(__file__).parent
assert "--array" in sys.argv and "--format=%i|%T" in sys.argv, sys.argv
if (folder / "silent").exists():
    sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
if any(word.startswith("--clusters=") for word in sys.argv):
    print("CLUSTER: far")
print((folder / "queue").read_text(), end="")
"""
_SACCT = """
import pathlib, sys
records = pathlib.Path(__file__).parent / "records"
if not records.exists():
    sys.exit("Slurm accounting storage is disabled")
print(records.read_text(), end="")
"""


class FakeSlurm:
    """What a test says and asks of it."""

    def __init__(self, folder):
        self._folder = folder

    @property
    def submissions(self):
        """Numbers of the jobs and arrays that were submitted."""
        path = self._folder / "submissions"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    @property
    def jobs(self):
        """Jobs that have not ended, and their states."""
        lines = (self._folder / "queue").read_text().splitlines()
        return dict(line.split("|") for line in lines)

    def put(self, job, state):
        """Change a job's state; None where it has ended."""
        states = {**self.jobs, job: state}
        lines = [f"{k}|{v}\n" for k, v in states.items() if v is not None]
        (self._folder / "queue").write_text("".join(lines))

    def end_all(self):
        """Let all jobs vanish, as after ``scancel``."""
        (self._folder / "queue").write_text("")

    def fall_silent(self, records=None):
        """Let ``squeue`` fail; ``sacct`` too where it has no records (lines ``id|state``)."""
        (self._folder / "silent").touch()
        if records is not None:
            (self._folder / "records").write_text(records)

    def speak(self):
        """Let ``squeue`` answer again."""
        (self._folder / "silent").unlink()


def fake_slurm(folder, monkeypatch, *, first=17):
    """Put ``srun``, ``sbatch``, ``squeue`` and ``sacct`` on the path.

    Scripts that submitit hands over stay where it wrote them.
    """
    programs = folder / "bin"
    programs.mkdir()
    texts = {"srun": "", "sbatch": _SBATCH, "squeue": _SQUEUE, "sacct": _SACCT}
    for name, text in texts.items():
        (programs / name).write_text(f"#!{sys.executable} -S\n{text}")
        (programs / name).chmod(0o755)
    (programs / "next").write_text(str(first))
    (programs / "queue").write_text("")
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return FakeSlurm(programs)
