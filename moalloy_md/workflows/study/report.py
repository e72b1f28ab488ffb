"""``moalloy study report``: what the runs that are done say."""

from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from moalloy_md.errors import RunDirectoryError
from moalloy_md.report.study import StudyReport, write_study_report
from moalloy_md.workflows.study.plan import STUDY, read_study
from moalloy_md.workflows.study.results import groups, means
from moalloy_md.workflows.study.workflow import outcome, show_outcome

_COLUMNS = (
    "folds", "E MAE\nmeV/atom", "aligned", "F MAE\nmeV/Å", "mean\n|F|", "binding\nmeV/cell",
)  # fmt: skip


def report_study(out: Path, console: Console) -> StudyReport:
    """Write the report of a study, show its headline numbers, and say which runs are missing.

    Parameters
    ----------
    out
        Folder of the study.
    console
        Where it is shown.

    Raises
    ------
    RunDirectoryError
        If there is no study in the folder, or a result in it is damaged.
    """
    out = Path(out).absolute()
    if not (out / STUDY).is_file():
        raise RunDirectoryError(
            f"{out}: expected a folder made by 'moalloy study run', found no {STUDY} in it. Give the "
            "folder after --out of that command"
        )
    config, runs = read_study(out)
    report = write_study_report(out, config, runs)
    table = Table(box=SIMPLE, pad_edge=False)
    for title in ("protocol", "model"):
        table.add_column(title, overflow="fold")
    for title in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    shown = [row for row in report.rows if row.fraction == 1 and row.evaluation == "evaluate"]
    for (protocol, paradigm, size), members in groups(
        shown, "protocol", "paradigm", "size"
    ).items():
        found = means(members)
        names = (
            "energy_mae_mev_per_atom", "shifted_energy_mae_mev_per_atom",
            "force_mae_mev_per_angstrom", "mean_abs_force_mev_per_angstrom", "binding_mae_mev",
        )  # fmt: skip
        cells = [f"{found[name].mean:.1f}" if name in found else "–" for name in names]
        table.add_row(protocol, f"{paradigm}, {size}", str(len(members)), *cells)
    console.print(table)
    show_outcome(outcome(out, runs), console)
    console.print(f"Report: {report.page}", highlight=False, soft_wrap=True)
    return report
