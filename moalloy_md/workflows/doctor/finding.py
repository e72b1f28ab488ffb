"""How a check of `moalloy doctor` says that something is not as it should be."""

from typing import Literal

from moalloy_md.errors import MoAlloyError


class Finding(MoAlloyError):  # noqa: N818  what a check found, not what went wrong in it
    """Something is not as it should be.

    Parameters
    ----------
    found
        What is wrong.
    mend
        How to mend it, in a sentence; empty for the check's general advice.
    status
        ``failure``, or ``warning`` where runs still work.
    """

    def __init__(
        self, found: str, *, mend: str = "", status: Literal["warning", "failure"] = "failure"
    ) -> None:
        super().__init__(found)
        self.found = found
        self.mend = mend
        self.status = status
