"""Means of correlated series, with error bars that can be believed.

Successive values of a simulation resemble each other, so ``σ/√n`` is too small, often by a
factor of ten. Here the correlation is measured and paid for, the start of the run, which is not
yet in equilibrium, is left out, and a series that is too short to know its own error is refused.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moalloy_md.errors import DataError

#: A series must be worth this many independent samples. Below, the correlation itself is not
#: known: short series often look less correlated than they are, and just those would pass.
MIN_EFFECTIVE = 30

_WINDOW = 5.0  # in units of g
_MSER_BATCH = 5
_DRIFT_SIGMAS = 3.0
_COSINES = (2, 4)
_CHOICE_CONFIDENCE = 0.95
#: Variance from the lowest cosines over that from the window. With two or four cosines, chance
#: alone exceeds it three times in ten; without it, simple series pay for two cosines too often.
_SLOW_EXCESS = 1.2


class SeriesTooShortError(DataError):
    """A series is too short, or too far from equilibrium, for an error bar: run longer."""


@dataclass(frozen=True)
class Estimate:
    """Mean of a correlated series.

    Attributes
    ----------
    value
        The mean, in the unit of the series.
    error
        Its standard error (one σ), in the same unit.
    n_samples
        Samples that the mean was taken over.
    n_effective
        Independent samples that they are worth, ``σ²/error²``.
    n_discarded
        Samples at the start that were left out as not yet in equilibrium.
    degrees_of_freedom
        Those of the error itself, which may rest on few numbers although ``n_effective`` is
        large; ``n_effective − 1`` where None.
    """

    value: float
    error: float
    n_samples: int
    n_effective: float
    n_discarded: int
    degrees_of_freedom: float | None = None

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence interval, from Student's t with the degrees of freedom of the error."""
        degrees = self.degrees_of_freedom
        if degrees is None:
            degrees = self.n_effective - 1
        half = self.error * _student(confidence, degrees)
        return self.value - half, self.value + half


def estimate_mean(
    series: ArrayLike, *, name: str = "the series", discard: int | None = None
) -> Estimate:
    """Mean of a correlated series and its standard error.

    The error is the largest of three views, because each alone can be blind. The first is
    ``error² = g σ² / n`` with `statistical_inefficiency`, which sees nothing slower than its
    window: below a fast ringing or white noise, slow motion stays hidden. The others are the
    spectrum at frequency zero, from the lowest ``B`` = 2 or 4 cosine coefficients,
    ``error² = Σ_(j=1..B) c_j² / (B n)`` with ``c_j = √(2/n) Σ_t x_t cos(πj(t + ½)/n)``, which has
    ``B`` degrees of freedom (E. Lazarus, D. J. Lewis, J. H. Stock, M. W. Watson, J. Bus. Econ.
    Stat. 36 (2018) 541; P. Heidelberger, P. D. Welch, Commun. ACM 24 (1981) 233). They count where
    their ``error²`` is 1.2 times that of the first or more, which chance alone gives three times
    in ten, and their 95 % interval is the widest.

    Measured with 300 to 500 synthetic series each, the 95 % intervals that were given held the
    true mean in 95 to 97 % for first-order autoregressive series (AR(1)) of 300 to 8000 samples
    worth 50 independent ones and more; in 92 to 98 % where a start-up transient of five σ decays
    in a twentieth of them; in 99 % for a ringing alone; in 91 to 97 % for a ringing with AR(1)
    motion of 5 or 10 % of the variance below it, where the series lasts ten to thirty-three of
    its correlation times (91 % at ten). The error of white noise comes out 17 % too large on
    average (median 6 %). Of AR(1) series worth fewer than 10 independent samples, under 2 % passed
    with an interval that missed the mean. A drift that is small beside the noise cannot be seen
    in the series itself.

    Parameters
    ----------
    series
        ``(n,)``, equally spaced in time.
    name
        What it is, for errors.
    discard
        Samples to leave out at the start; `equilibration` decides where None.

    Raises
    ------
    DataError
        If a value is not finite.
    SeriesTooShortError
        If the series still drifts, or is worth fewer than `MIN_EFFECTIVE` independent samples.
    """
    values = _checked(series, name)
    first = equilibration(values) if discard is None else discard
    kept = values[first:]
    n = len(kept)
    if n < MIN_EFFECTIVE:
        raise SeriesTooShortError(
            f"{name}: expected at least {MIN_EFFECTIVE} samples after equilibration, found "
            f"{max(n, 0)} of {len(values)}: run longer, or write output more often"
        )
    _refuse_drift(kept, name)
    variance = _variance(kept)
    error, degrees = _standard_error(kept)
    n_effective = min(variance / error**2, float(n)) if error else float(n)
    if n_effective < MIN_EFFECTIVE:
        raise SeriesTooShortError(
            f"{name}: expected a series worth at least {MIN_EFFECTIVE} independent samples, found "
            f"{n_effective:.1f} ({n} samples, correlated over {n / n_effective:.0f}): too short for "
            f"an error bar. Run about {2 * MIN_EFFECTIVE / n_effective:.0f} times as long"
        )
    return Estimate(
        value=float(kept.mean()),
        error=error,
        n_samples=n,
        n_effective=float(n_effective),
        n_discarded=first,
        degrees_of_freedom=degrees,
    )


def statistical_inefficiency(series: ArrayLike) -> float:
    """Tell how many samples one independent sample costs, ``g = 1 + 2 Σ_t ρ(t)``.

    The sum over the autocorrelation ``ρ(t)`` is cut at the smallest window ``W ≥ 5 g``, which is
    ten integrated autocorrelation times ``g/2`` (A. D. Sokal, "Monte Carlo Methods in Statistical
    Mechanics: Foundations and New Algorithms", lectures, 1989 and 1996), and multiplied by
    ``1 + (2W + 1)/n`` against the bias of subtracting the sample mean (U. Wolff, Comput. Phys.
    Commun. 156 (2004) 143). Never less than one. The window closes at the first swing of an
    oscillating series, and within a few samples of a nearly white one: what is slower is not in
    ``g``. `estimate_mean` looks for it apart.

    Parameters
    ----------
    series
        ``(n,)``, equally spaced in time, in equilibrium.
    """
    values = np.asarray(series, dtype=np.float64)
    n = len(values)
    if _variance(values) == 0.0:
        return 1.0
    cumulative = 2.0 * np.cumsum(_autocorrelation(values)) - 1.0
    wide_enough = np.arange(n) >= _WINDOW * cumulative
    window = int(np.argmax(wide_enough)) if wide_enough.any() else n - 1
    return float(max(1.0, cumulative[window] * (1.0 + (2 * window + 1) / n)))


def equilibration(series: ArrayLike) -> int:
    """Tell how many samples to leave out at the start of a series, at most half of it.

    The marginal standard error rule on batches of five (MSER-5; K. P. White, Simulation 69 (1997)
    323; K. P. White, M. J. Cobb, S. C. Spratt, Proc. Winter Simulation Conf. (2000) 755): cut
    where ``Σ (x − mean)² / m²`` of the ``m`` batches that remain is smallest. Twice that many
    samples are left out. The rule alone balances bias against noise, so it leaves part of a slow
    transient in, which `estimate_mean` then pays for as slow motion. With the doubled cut, on
    4000 samples (AR(1), φ = 0, 0.5 and 0.9) with a transient of five σ that decays in 200, its
    95 % intervals held the truth in 98 % of 500 series.

    Parameters
    ----------
    series
        ``(n,)``, equally spaced in time.
    """
    values = np.asarray(series, dtype=np.float64)
    n_batches = len(values) // _MSER_BATCH
    if n_batches < 2 or _variance(values) == 0.0:
        return 0
    rest = len(values) - n_batches * _MSER_BATCH
    batches = values[rest:].reshape(n_batches, _MSER_BATCH).mean(axis=1)
    batches = batches - batches.mean()  # keeps the difference of squares below exact
    remaining = n_batches - np.arange(n_batches)
    sums = np.cumsum(batches[::-1])[::-1]
    squares = np.cumsum(batches[::-1] ** 2)[::-1]
    criterion = (squares - sums**2 / remaining) / remaining**2
    cut = int(np.argmin(criterion[: n_batches // 2 + 1]))
    return min(2 * (rest + cut * _MSER_BATCH), len(values) // 2) if cut else 0


def _checked(series: ArrayLike, name: str) -> NDArray[np.float64]:
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 1:
        raise DataError(f"{name}: expected a series (n,), found an array of shape {values.shape}")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DataError(
            f"{name}: expected finite numbers, found {values[bad[0]]} at sample {bad[0]}"
        )
    return values


def _student(confidence: float, degrees: float) -> float:
    from scipy import stats  # half a second of import

    return float(stats.t.ppf(0.5 + confidence / 2, degrees))


def _standard_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the standard error of the mean and its degrees of freedom, as `estimate_mean` says."""
    n = len(values)
    inefficiency = statistical_inefficiency(values)
    least = error = float(np.sqrt(_variance(values) * inefficiency / n))
    # a series worth one sample has no interval; it is refused, but must get as far as that
    degrees = max(n / inefficiency - 1.0, 1.0)
    for count in _COSINES if least else ():
        candidate = float(np.sqrt(_lowest_cosines(values, count).mean() / n))
        wider = candidate * _student(_CHOICE_CONFIDENCE, count) > error * _student(
            _CHOICE_CONFIDENCE, degrees
        )
        if candidate > np.sqrt(_SLOW_EXCESS) * least and wider:
            error, degrees = candidate, float(count)
    return error, degrees


def _lowest_cosines(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Squares of the first ``count`` cosine coefficients, each near σ² for white noise."""
    n = len(values)
    angles = np.pi / n * np.outer(np.arange(1, count + 1), np.arange(n) + 0.5)
    coefficients = np.sqrt(2.0 / n) * np.cos(angles) @ (values - values.mean())
    squares: NDArray[np.float64] = coefficients**2
    return squares


def _variance(values: NDArray[np.float64]) -> float:
    """Sample variance; exactly zero for a constant series, whatever its mean rounds to."""
    if len(values) < 2 or np.ptp(values) == 0.0:
        return 0.0
    return float(values.var(ddof=1))


def _autocorrelation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    n = len(values)
    padded = 1 << (2 * n - 1).bit_length()  # zeros, or the ends would be taken as neighbours
    spectrum = np.fft.rfft(values - values.mean(), padded)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, padded)[:n]
    normalised: NDArray[np.float64] = covariance / covariance[0]
    return normalised


def _refuse_drift(values: NDArray[np.float64], name: str) -> None:
    """Compare the halves, each with its own error (in the manner of J. Geweke, 1992)."""
    middle = len(values) // 2
    first, second = values[:middle], values[middle:]
    variance = sum(_standard_error(half)[0] ** 2 for half in (first, second))
    difference = float(second.mean() - first.mean())
    if abs(difference) > _DRIFT_SIGMAS * np.sqrt(variance):
        raise SeriesTooShortError(
            f"{name}: expected a series in equilibrium, found one that drifts: its second half "
            f"differs from its first by {difference:.4g}, more than chance allows "
            f"(±{float(np.sqrt(variance)):.2g}). Run longer"
        )
