"""What would make runs of a study fail one after the other, found before the first of them."""

from collections.abc import Collection, Sequence

from moalloy_md.elements import atomic_number
from moalloy_md.errors import ModelError
from moalloy_md.workflows.simulate.plan import Executor
from moalloy_md.workflows.study.config import NewElementFolds, StudyConfig
from moalloy_md.workflows.study.plan import Fold, Run


def check_runs(
    config: StudyConfig, folds: Sequence[Fold], runs: Sequence[Run], *, executor: Executor
) -> None:
    """Refuse what the runs cannot do, before any of them begins.

    Parameters
    ----------
    config
        The study.
    folds
        Its splits.
    runs
        Those that are to be done.
    executor
        Who does them; the device of another machine is not known here.

    Raises
    ------
    ModelError
        If CUDA is asked for and absent, or a foundation lacks elements of the data that nothing
        stands in for, or a given proxy is none that it knows.
    """
    if not runs:
        return
    from moalloy_md.potentials.loading import resolve_device

    if executor != "slurm":
        resolve_device(config.device)
    by_folder = {fold.folder: fold for fold in folds}
    for size_name, size in config.sizes.items():
        of_size = [
            run
            for run in runs
            if run.size == size_name
            and config.paradigms[run.paradigm].kind in {"zero-shot", "fine-tune"}
        ]
        known = _known(size.foundation) if size.foundation and of_size else None
        if known is not None:
            _check_elements(config, by_folder, of_size, known)


def _known(foundation: str) -> set[str] | None:
    """Return the elements of a foundation; None where it cannot be had, for its runs to say why."""
    from moalloy_md.potentials.foundations import open_model
    from moalloy_md.potentials.predict import known_symbols

    try:
        network, _ = open_model(foundation)
    except ModelError:
        return None
    return set(known_symbols(network))


def _check_elements(
    config: StudyConfig, folds: dict[str, Fold], runs: Sequence[Run], known: set[str]
) -> None:
    missing: dict[str, set[str]] = {}
    for run in runs:
        needed = _needed(config, folds[run.split], run)
        if needed - known:
            missing.setdefault(run.paradigm, set()).update(needed - known)
        paradigm = config.paradigms[run.paradigm]
        tuned = paradigm.kind == "fine-tune" and "method" not in paradigm.start
        _check_proxies(config, run, known & needed if tuned else known)
    if not missing:
        return
    size = runs[0].size
    raise ModelError(
        f"sizes.{size}: expected a foundation that knows all elements of the data, found that "
        f"{config.sizes[size].foundation} lacks {_listed(set().union(*missing.values()))} (it knows "
        f"{_listed(known)}), which paradigms {', '.join(missing)} need. Take another one; or test them "
        "as new elements (protocol new-elements), where proxies stand in; or take kind: scratch; or "
        "leave those cells out"
    )


def _needed(config: StudyConfig, fold: Fold, run: Run) -> set[str]:
    """Return the elements that the foundation of a run has to know: new ones may have proxies."""
    frames, split = fold.parts["old" if run.kind == "new-elements" else ""]
    found = {x for k in (*split.train, *split.valid, *split.test) for x in frames[k].elements}
    if run.kind == "new-elements" and config.paradigms[run.paradigm].kind == "zero-shot":
        protocol = config.protocols[run.protocol]
        frames, _split = fold.parts["new"]
        new = protocol.elements if isinstance(protocol, NewElementFolds) else ()
        found |= {x for frame in frames for x in frame.elements} - set(new)
    return found


def _check_proxies(config: StudyConfig, run: Run, known: Collection[str]) -> None:
    protocol = config.protocols[run.protocol]
    if not isinstance(protocol, NewElementFolds):
        return
    for element, proxy in protocol.proxies.items():
        if proxy not in known:
            raise ModelError(
                f"protocols.{run.protocol}.proxies: expected for {element} an element that "
                f"the model of {run.paradigm}, size {run.size}, knows ({_listed(known)}), found {proxy}"
            )


def _listed(elements: Collection[str]) -> str:
    return ", ".join(sorted(elements, key=atomic_number))
