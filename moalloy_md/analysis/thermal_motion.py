"""How far atoms move: vibration about their sites, Lindemann's ratio, diffusion."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moalloy_md.analysis.statistics import Estimate, SeriesTooShortError, estimate_mean
from moalloy_md.errors import DataError

FloatArray = NDArray[np.float64]

#: Pieces of a trajectory whose diffusion coefficients are compared: at most, at least.
_PIECES = (8, 4)
#: Lags of a fit: from here on a vibrating atom of a metal has forgotten where it was (ps)...
_SHORTEST_LAG_PS = 2.0
#: ...to twice of that at least, and to half of a piece: longer lags have few samples.
_LONGEST_LAG = 0.5
_MIN_LAGS = 4


def unwrap(positions: ArrayLike, cells: ArrayLike) -> FloatArray:
    """Undo the jumps of atoms through the walls of the cell, and the breathing of the cell.

    Parameters
    ----------
    positions
        ``(n_frames, n_atoms, 3)``, Å, relative to the corner of the cell, wrapped into it. Between
        two frames no atom may go farther than half of the cell.
    cells
        ``(n_frames, 3, 3)``, Å, rows are the cell's vectors.

    Returns
    -------
    ndarray
        ``(n_frames, n_atoms, 3)``, Å, in the mean cell, with the centre of all atoms at rest.
    """
    wrapped, cell = np.asarray(positions, dtype=np.float64), np.asarray(cells, dtype=np.float64)
    fractional = wrapped @ np.linalg.inv(cell)
    steps = np.diff(fractional, axis=0)
    fractional[1:] = fractional[0] + np.cumsum(steps - np.round(steps), axis=0)
    path: FloatArray = fractional @ cell.mean(axis=0)
    path -= path.mean(axis=1, keepdims=True)
    return path


def vibration(path: FloatArray) -> FloatArray:
    """Mean-square displacement of each atom from its mean position, frame by frame, ``(n_frames, n_atoms)``, Å².

    ``|r_i(t) - <r_i>|²``, multiplied by ``n/(n - 1)`` because the mean position is taken from the
    same frames. The mean over atoms and frames is the <u²> of the Debye-Waller factor; for a
    harmonic crystal it grows in proportion to the temperature.

    Parameters
    ----------
    path
        ``(n_frames, n_atoms, 3)``, Å, as `unwrap` gives it: without the motion of the centre.
    """
    n_frames = len(path)
    if n_frames < 2:
        raise DataError(f"expected at least 2 frames, found {n_frames}: run longer")
    squares: FloatArray = np.sum((path - path.mean(axis=0)) ** 2, axis=2)
    return squares * (n_frames / (n_frames - 1))


def lindemann(mean_square: Estimate, *, neighbour_distance_angstrom: float) -> Estimate:
    """Lindemann's ratio ``δ = √<u²> / d``, with its error ``δ <u²>'s error / (2 <u²>)``.

    F. A. Lindemann, Phys. Z. 11 (1910) 609: crystals melt where it is about 0.1.

    Parameters
    ----------
    mean_square
        <u²> with its error, Å².
    neighbour_distance_angstrom
        Distance d of nearest neighbours, Å.
    """
    ratio = float(np.sqrt(mean_square.value)) / neighbour_distance_angstrom
    relative = mean_square.error / (2 * mean_square.value) if mean_square.value > 0 else 0.0
    return replace(mean_square, value=ratio, error=ratio * relative)


@dataclass(frozen=True)
class Displacement:
    """Mean-square displacement against time lag.

    Attributes
    ----------
    lags_ps
        ``(n_lags,)``, ps.
    values_angstrom2
        ``(n_lags,)``, Å².
    """

    lags_ps: FloatArray
    values_angstrom2: FloatArray


def mean_square_displacement(path: ArrayLike, *, interval_ps: float) -> Displacement:
    """Mean of ``|r_i(t + τ) - r_i(t)|²`` over atoms and starts t, for each lag τ of the trajectory.

    By Fourier transform (V. Calandrini et al., Collection SFN 12 (2011) 201).

    Parameters
    ----------
    path
        ``(n_frames, n_atoms, 3)``, Å, as `unwrap` gives it.
    interval_ps
        Time between frames, ps.
    """
    r = np.asarray(path, dtype=np.float64)
    n = len(r)
    padded = 1 << (2 * n - 1).bit_length()
    squares = np.sum(r**2, axis=2).mean(axis=1)
    spectrum = np.fft.rfft(r, padded, axis=0)
    power = (np.abs(spectrum) ** 2).sum(axis=2).mean(axis=1)
    products = np.fft.irfft(power, padded)[:n] / np.arange(n, 0, -1)
    both = np.concatenate([[0.0], np.cumsum(squares)])
    # sums of r² over t < n - τ and over t ≥ τ
    ends = (both[n - np.arange(n)] + both[n] - both[np.arange(n)]) / np.arange(n, 0, -1)
    values = np.maximum(ends - 2 * products, 0.0)
    values[0] = 0.0
    lags: FloatArray = np.arange(n, dtype=np.float64) * interval_ps
    return Displacement(lags, values)


def diffusion_coefficient(
    path: FloatArray, *, interval_ps: float, shortest_lag_ps: float = _SHORTEST_LAG_PS
) -> Estimate:
    """Coefficient of self-diffusion, Å²/ps, from the mean-square displacement.

    Einstein's ``<|r(t + τ) - r(t)|²> = c + 6 D τ`` of positions averaged over a running window: that
    removes most of the vibration, c takes up the rest, and from lags of one window on the slope
    is the same. The trajectory is cut into four to eight pieces, a line is fitted to the lags of each,
    and the mean and its error come from the slopes, which are independent: neighbouring lags are
    not, so the error of one fit would mean nothing. A crystal without jumps gives zero but for a rest
    of its vibration, some 1e-6 Å²/ps. 1 Å²/ps is 1e-8 m²/s.

    Parameters
    ----------
    path
        ``(n_frames, n_atoms, 3)``, Å, as `unwrap` gives it.
    interval_ps
        Time between frames, ps.
    shortest_lag_ps
        Length of the window, and shortest lag of the fit. The longest are half of a piece, and at
        least twice as long.

    Raises
    ------
    SeriesTooShortError
        If not even four pieces have lags enough for a fit.
    """
    first = max(1, int(np.ceil(shortest_lag_ps / interval_ps)))
    needed = int(np.ceil(max(2 * first, first + _MIN_LAGS - 1) / _LONGEST_LAG))  # frames of a piece
    pieces = min(_PIECES[0], (len(path) - first + 1) // needed)
    if pieces < _PIECES[1]:
        raise SeriesTooShortError(
            f"diffusion: expected at least {_PIECES[1] * needed + first - 1} frames ({interval_ps:g} ps apart), "
            f"found {len(path)}: run longer, or write frames more often"
        )
    path = _running_mean(path, first)
    length = len(path) // pieces
    lags = slice(first, int(_LONGEST_LAG * length) + 1)
    slopes = []
    for k in range(pieces):
        piece = mean_square_displacement(
            path[k * length : (k + 1) * length], interval_ps=interval_ps
        )
        slopes.append(np.polyfit(piece.lags_ps[lags], piece.values_angstrom2[lags], 1)[0] / 6)
    return Estimate(
        value=float(np.mean(slopes)),
        error=float(np.std(slopes, ddof=1) / np.sqrt(pieces)),
        n_samples=pieces * length,
        n_effective=float(pieces),
        n_discarded=len(path) - pieces * length,
        degrees_of_freedom=pieces - 1.0,
    )


def _running_mean(path: FloatArray, n_frames: int) -> FloatArray:
    sums = np.cumsum(np.concatenate([np.zeros_like(path[:1]), path]), axis=0)
    means: FloatArray = (sums[n_frames:] - sums[:-n_frames]) / n_frames
    return means


def mean_vibration(squares: FloatArray, *, name: str) -> Estimate:
    """Mean of what `vibration` gives over atoms and frames, with its error, Å².

    Parameters
    ----------
    squares
        ``(n_frames, n_atoms)``, Å²: all atoms, or those of one element.
    name
        What it is, for errors.

    Raises
    ------
    SeriesTooShortError
        As `moalloy_md.analysis.statistics.estimate_mean` does.
    """
    return estimate_mean(squares.mean(axis=1), name=name, discard=0)
