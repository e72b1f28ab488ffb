"""Mean squared displacements and diffusion coefficients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moalloy_md.analysis.quantities import Quantity, mean_of_independent
from moalloy_md.analysis.topics.base import (
    Column,
    Curve,
    Measure,
    Table,
    TopicSettings,
    counts,
    mask,
)
from moalloy_md.analysis.trajectory import Frame
from moalloy_md.errors import DataError

_MIN_LAGS = 4
#: Part of a window at its beginning that is left out of the slope: vibration, not diffusion.
_SKIPPED = 0.2
_M2_PER_S = 1e-8  # 1 Å²/ps in m²/s


class MsdSettings(TopicSettings):
    """Mean squared displacements."""

    kind: Literal["msd"] = "msd"
    windows: int = Field(default=5, ge=1, le=100)
    """Windows, one after the other, that each start anew: their scatter gives the error."""
    timestep_ps: float | None = Field(default=None, gt=0.0)
    """Time step, ps; only for dumps without times (our inputs write them)."""


@dataclass(kw_only=True)
class MeanSquaredDisplacement(Measure):
    """``MSD(t) = <|r(t0 + t) − r(t0)|²>`` over the atoms of an element and windows, and D.

    The windows do not overlap, so one origin is kept at a time. Atoms are followed through periodic
    boundaries, in fractions of the cell, so they must move by less than half of it between frames;
    the drift of all atoms together is taken out. ``D`` is a sixth of the slope of each window's MSD
    from a fifth of its length on (A. Einstein, 1905); its error is from the scatter of the windows.
    A crystal without diffusion has a constant MSD and D = 0 within its error.
    """

    resumable: ClassVar[bool] = False

    settings: MsdSettings
    _origin_time: float = field(default=0.0, init=False)
    _previous: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), init=False)
    _ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), init=False)
    _moved: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), init=False)
    _n_seen: int = field(default=0, init=False)
    _lags: list[float] = field(default_factory=list, init=False)
    _found: dict[str, list[list[float]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Divide the frames into windows.

        Raises
        ------
        DataError
            If a window would be too short.
        """
        self._length = (self.n_frames - 1) // self.settings.windows
        if self._length < _MIN_LAGS:
            need = _MIN_LAGS * self.settings.windows + 1
            raise DataError(
                f"msd: expected {need} frames or more for {self.settings.windows} windows, found "
                f"{self.n_frames}: run longer, dump more often, or take fewer --windows"
            )

    def see(self, frame: Frame) -> dict[str, float]:
        """Follow the atoms; return their mean squared displacement since the window began."""
        cell = np.array(frame.data.cell[...])
        positions, ids, order = _sorted(frame)
        fractional = np.linalg.solve(cell[:, :3], (positions - cell[:, 3]).T).T
        if self._n_seen == 0:
            self._previous, self._ids = fractional, ids
            self._moved = np.zeros_like(fractional)
        if not np.array_equal(ids, self._ids):
            raise DataError(
                f"{frame.address.file}: expected the atoms of the first frame, found others: atoms "
                "were added or lost"
            )
        jump = fractional - self._previous
        periodic = np.array(frame.data.cell.pbc, dtype=bool)
        jump[:, periodic] -= np.rint(jump[:, periodic])
        self._moved += jump
        self._previous = fractional
        row = self._measure(frame, cell[:, :3], order)
        self._n_seen += 1
        return row

    def _measure(
        self, frame: Frame, cell: NDArray[np.float64], order: NDArray[np.int64]
    ) -> dict[str, float]:
        time = self._time(frame)
        place = self._n_seen % self._length if self._n_seen else 0
        row = {}
        displacements = (self._moved - self._moved.mean(axis=0)) @ cell.T
        squares = (displacements**2).sum(axis=1)
        by_element = {s: float(squares[mask(frame, s)[order]].mean()) for s in counts(frame)}
        # the frame that ends a window also begins the next one
        ends = self._n_seen > 0 and place == 0
        for symbol, value in by_element.items():
            row[f"msd_{symbol}"] = value
            self.columns[f"msd_{symbol}"] = Column(
                f"MSD of {symbol} in its window", "Å²", averaged=False
            )
            series = self._found.setdefault(symbol, [[]])
            if len(series) <= self.settings.windows:
                series[-1].append(value)
        if len(self._lags) <= self._length:
            self._lags.append(time - self._origin_time if self._n_seen else 0.0)
        if self._n_seen == 0 or ends:
            self._origin_time = time
            self._moved[:] = 0.0
        if ends:
            for series in self._found.values():
                series.append([0.0])
        return row

    def _time(self, frame: Frame) -> float:
        if self.settings.timestep_ps is not None:
            return frame.step * self.settings.timestep_ps
        if frame.time_ps is None:
            raise DataError(
                f"{frame.address.file}: expected times in the frames (dump_modify time yes), found "
                "none: give --timestep-ps"
            )
        return frame.time_ps

    def _windows(self, symbol: str) -> NDArray[np.float64]:
        """MSD of the whole windows, ``(n_windows, n_lags)``."""
        whole = [w for w in self._found[symbol] if len(w) == self._length + 1]
        return np.array(whole[: self.settings.windows])

    def tables(self, rows: Sequence[Mapping[str, float]]) -> dict[str, Table]:  # noqa: ARG002
        """Return the MSD of each element against time."""
        curves = []
        for symbol in self._found:
            windows = self._windows(symbol)
            n = len(windows)
            error = windows.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else None
            curves.append(Curve(symbol, windows.mean(axis=0), error))
        return {"msd": Table("time (ps)", "MSD (Å²)", np.array(self._lags), curves)}

    def quantities(self) -> dict[str, Quantity]:
        """Return the diffusion coefficient of each element, m²/s."""
        lags = np.array(self._lags)
        late = lags >= _SKIPPED * lags[-1]
        found = {}
        for symbol in self._found:
            slopes = [np.polyfit(lags[late], w[late], 1)[0] for w in self._windows(symbol)]
            found[f"diffusion_{symbol}"] = mean_of_independent(
                np.array(slopes) / 6 * _M2_PER_S, label=f"D of {symbol}", unit="m²/s"
            )
        return found


def _sorted(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Positions and ids in the order of the ids, and that order."""
    particles: Any = frame.data.particles
    positions = np.array(particles.positions)
    ids = particles.identifiers
    if ids is None:  # extended XYZ keeps its order
        order = np.arange(len(positions))
        return positions, order, order
    order = np.argsort(np.array(ids), kind="stable")
    return positions[order], np.array(ids)[order], order
