"""Proxy elements: a known element stands in for one that a model lacks (the paper's DIPI).

The model then cannot tell the two apart, so every number that it gives for the new element is
one of the proxy: good for a first look, and as a start for refining, and to be called so.
"""

from collections.abc import Collection, Iterable, Mapping

import torch

from moalloy_md.datasets.frames import Frame
from moalloy_md.elements import HOST, atomic_number, symbol
from moalloy_md.errors import ConfigError, ModelError
from moalloy_md.potentials.elements_subset import set_elements
from moalloy_md.potentials.loading import model_elements

#: Atomic numbers of the noble gases, which end the periods.
_PERIOD_ENDS = (2, 10, 18, 36, 54, 86, 118)

#: What a step to another period counts, in steps to the neighbouring group: elements of one group
#: resemble each other more than neighbours in a period do (Hf and Zr, not Hf and Ta).
_PERIOD_STEP = 0.75


def period_and_group(number: int) -> tuple[int, int]:
    """Period and group (1 to 18) of an element in the periodic table.

    The lanthanides and actinides count to group 3.
    """
    period = next(k for k, end in enumerate(_PERIOD_ENDS, start=1) if number <= end)
    end = _PERIOD_ENDS[period - 1]
    first = _PERIOD_ENDS[period - 2] + 1 if period > 1 else 1
    place = number - first + 1
    if place <= (1 if period == 1 else 2):
        return period, place
    from_end = end - number
    if period >= 6 and from_end > 14:
        return period, 3
    return period, 18 - from_end


def nearest_known(element: str, known: Iterable[str]) -> str:
    """Return the known element that stands nearest to another one in the periodic table.

    Parameters
    ----------
    element
        Chemical symbol.
    known
        Symbols to choose among.

    Returns
    -------
    str
        The one with the smallest ``|Δgroup| + 0.75 |Δperiod|``; of equals the one whose atomic
        number is nearest.

    Raises
    ------
    ConfigError
        If a symbol does not exist.
    """
    number = atomic_number(element)
    period, group = period_and_group(number)

    def distance(other: str) -> tuple[float, int]:
        z = atomic_number(other)
        other_period, other_group = period_and_group(z)
        steps = abs(group - other_group) + _PERIOD_STEP * abs(period - other_period)
        return steps, abs(number - z)

    return min(known, key=distance)


def proxies_for(
    wanted: Collection[str],
    known: Collection[str],
    given: Mapping[str, str] | None = None,
    *,
    host: str = HOST,
) -> dict[str, str]:
    """Choose a proxy for each element that a model lacks.

    Parameters
    ----------
    wanted
        Symbols that have to be known.
    known
        Symbols that the model knows.
    given
        Proxies chosen by the user.
    host
        Is not taken for a proxy, because a dopant that is the host is none; unless it was given,
        or the model knows nothing else.

    Returns
    -------
    dict
        Proxy by element, for those of `wanted` that are not known, by atomic number.

    Raises
    ------
    ConfigError
        If a given proxy is not known either, or one is given for an element that is known.
    """
    given = given or {}
    known = set(known)
    for element, proxy in given.items():
        if element in known:
            raise ConfigError(
                f"proxies: expected elements that the model lacks, found {element}, which it knows. "
                "Leave it out"
            )
        if proxy not in known:
            raise ConfigError(
                f"proxies: expected for {element} an element that the model knows "
                f"({', '.join(sorted(known, key=atomic_number))}), found {proxy}"
            )
    dopants = known - {host} or known
    missing = sorted(set(wanted) - known, key=atomic_number)
    return {x: given.get(x) or nearest_known(x, dopants) for x in missing}


def proxies_of(cells: Iterable[Frame], proxies: Mapping[str, str]) -> dict[str, str]:
    """Return those of `proxies` whose element is in one of the cells."""
    elements = {x for frame in cells for x in frame.elements}
    return {x: proxy for x, proxy in proxies.items() if x in elements}


def marked(name: str, proxies: Mapping[str, str]) -> str:
    """Say beside the name of a number that it is one of proxies; `name` where there are none.

    Parameters
    ----------
    name
        What the number is of: an element, or words.
    proxies
        Those that took part in it.

    Returns
    -------
    str
        ``Al (proxy V)`` where `name` is the only element that has one, else ``all (proxy)``:
        which they are, `pairs_text` says once for all.
    """
    if not proxies:
        return name
    return f"{name} (proxy {proxies[name]})" if set(proxies) == {name} else f"{name} (proxy)"


def with_proxies(model: torch.nn.Module, proxies: Mapping[str, str]) -> None:
    """Add elements to a model's table, each with the weights and the E0 of its proxy, in place.

    Raises
    ------
    ModelError
        If a proxy is not in the table, or the model has a part whose use of elements is not known.
    """
    known = [symbol(z) for z in model_elements(model)]
    unknown = sorted(set(proxies.values()) - set(known))
    if unknown:
        raise ModelError(
            f"proxies: expected elements that the model knows ({', '.join(known)}), found "
            f"{', '.join(unknown)}"
        )
    sources = {atomic_number(x): atomic_number(x) for x in known}
    sources |= {atomic_number(x): atomic_number(proxy) for x, proxy in proxies.items()}
    set_elements(model, sources)
