"""A SLURM that takes every job and does none."""


def fake_slurm(folder, monkeypatch):
    """Put ``srun`` and ``sbatch`` on the path; scripts that submitit hands over stay where it wrote them."""
    programs = folder / "bin"
    programs.mkdir()
    for name, text in (("srun", ""), ("sbatch", 'echo "Submitted batch job 17"')):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
