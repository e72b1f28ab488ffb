"""mace-torch without its chatter.

Importing mace-torch 0.3.16 with torch 2.13 prints one line about an accelerator that we do not
use and warns of things that only its authors can change. Both would land on a user's screen, and
our tests treat warnings as errors. Only what is listed here is silenced.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator

#: Message patterns, each with the reason why a user can do nothing about it.
_KNOWN_WARNINGS = (
    # e3nn 0.4.4, which mace-torch pins, is written in TorchScript throughout.
    r"`torch\.jit\.\w+` is deprecated",
    # e3nn reads its own table of constants; mace-torch sets the variable when imported.
    r"Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected",
    # mace-torch builds its E0 table with torch.tensor(tensor).
    r"To copy construct from a tensor, it is recommended",
    # TorchScript's compiler on type annotations of mace-torch's modules.
    r"The TorchScript type system doesn't support instance-level annotations",
)


@contextlib.contextmanager
def quiet_mace() -> Iterator[None]:
    """Silence what mace-torch and e3nn print and warn while they are imported or unpickled.

    Errors pass through. Standard output is held back, so nothing of ours may print inside.
    """
    with known_warnings_ignored(), contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def known_warnings_ignored() -> Iterator[None]:
    """Silence the known warnings alone."""
    with warnings.catch_warnings():
        for pattern in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=pattern)
        yield
