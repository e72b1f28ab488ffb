"""Why a training ended before its end: what its log, its status and the disk say."""

import errno
import re
import shutil
from pathlib import Path

from moalloy_md.errors import TrainingError

#: Exit status of the trainer where the disk had no room: then its log cannot say it.
NO_ROOM = 28
#: What the system calls that.
NO_ROOM_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What torch's own writer, which mace-torch uses, says instead.
TORCH_CANNOT_WRITE = r"unexpected pos \d+ vs|failed writing|iostream error"

_TAIL_LINES = 25
#: With less on the disk than this a failed training had, most likely, too little, bytes.
_LITTLE_ROOM = 2 * 2**20

_REPLAY_BY_HAND = (
    "mace-torch cannot download the old cells (replay: mp): fetch "
    "https://github.com/ACEsuit/mace-foundations/releases/download/mace_mp_0b/mp_traj_combined.xyz "
    "on a machine that can, and put it as mp_traj_combinedxyz into mace-torch's cache "
    "(~/.cache/mace, or mace in XDG_CACHE_HOME); or give the path of a dataset in replay"
)

_DISK_FULL = "the disk is full: make room, and the same command goes on"

#: What to look for in the log of a failed training, and what it means.
_CAUSES = (
    (r"FloatingPointError", "the loss is no longer a finite number: lower the learning rate"),
    (r"out of memory|DefaultCPUAllocator: can't allocate", "out of memory: lower batch_size"),
    (rf"No space left on device|Disk quota exceeded|{TORCH_CANNOT_WRITE}", _DISK_FULL),
    (r"another trainer is at work", "another 'moalloy train' is still running in this folder"),
    (
        r"replay data or descriptors cached data not found and download failed",
        _REPLAY_BY_HAND,
    ),
    (r"CUDA error|CUDA driver", "the CUDA device failed: check nvidia-smi, or use device cpu"),
)


def training_failure(status: int, log: Path) -> TrainingError:
    """Return the error of a trainer that ended with a status that is not zero.

    Parameters
    ----------
    status
        Its exit status; a signal is negative.
    log
        Its output, on the disk that it wrote to. What stands behind the last line that begins
        with ``#`` is of this process.
    """
    lines = log.read_text(errors="replace").splitlines()
    start = max((i for i, line in enumerate(lines) if line.startswith("# ")), default=0)
    text = "\n".join(lines[start + 1 :])
    free = shutil.disk_usage(log.parent).free
    cause = next((meaning for pattern, meaning in _CAUSES if re.search(pattern, text)), None)
    if status == NO_ROOM or (cause is None and free < _LITTLE_ROOM):
        cause = _DISK_FULL
    if cause is None and status == -9:
        cause = "killed by the system, most likely for want of memory: lower batch_size"
    if cause == _DISK_FULL:
        cause += f" ({free / 2**20:.1f} MiB are free in {log.parent})"
    tail = "\n".join(lines[start + 1 :][-_TAIL_LINES:])
    return TrainingError(
        f"expected mace-torch's trainer to finish, found that it ended with status {status}. "
        f"Likely cause: {cause or 'see the end of its log'}.\n"
        f"The end of {log}:\n{tail}"
    )


def is_want_of_room(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that the disk has no room."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM_ERRORS:
            return True
        if isinstance(error, RuntimeError) and re.search(TORCH_CANNOT_WRITE, str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
