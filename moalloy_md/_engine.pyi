# Types of the native engine's binding (moalloy_md/native/python/binding.cpp).

from typing import Any

import numpy as np
from numpy.typing import NDArray

def load_model(path: str) -> dict[str, Any]: ...

class Engine:
    def __init__(self, path: str, atomic_numbers: list[int], precision: str = "") -> None: ...
    def evaluate(
        self,
        types: NDArray[np.int32],
        senders: NDArray[np.int32],
        receivers: NDArray[np.int32],
        vectors: NDArray[np.float64],
        threads: int = 1,
        virials: bool = False,
    ) -> dict[str, Any]: ...
    @property
    def r_max(self) -> float: ...
    @property
    def precision(self) -> str: ...
    @property
    def instructions(self) -> str: ...
    @property
    def radial_error(self) -> float: ...
