"""``moalloy study report``: what the runs that are done say."""

from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from moalloy_md.errors import RunDirectoryError
from moalloy_md.report.study import StudyReport, write_study_report
from moalloy_md.workflows.study.plan import STUDY, read_study
from moalloy_md.workflows.study.results import groups, means, series_name
from moalloy_md.workflows.study.workflow import outcome, show_outcome

_COLUMNS = (
    ("energy_mae_mev_per_atom", "E MAE\nmeV/at.", 1),
    ("shifted_energy_mae_mev_per_atom", "aligned", 1),
    ("force_mae_mev_per_angstrom", "F MAE\nmeV/Å", 1),
    ("mean_abs_force_mev_per_angstrom", "mean\n|F|", 0),
    ("force_r2", "R²\nof F", 2),
    ("force_slope", "slope", 2),
    ("binding_mae_mev", "binding\nmeV", 0),
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
    shown = [row for row in report.rows if row.fraction == 1 and row.evaluation == "evaluate"]
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("model", overflow="fold")
    for title in ("folds", *(title for _, title, _ in _COLUMNS)):
        table.add_column(title, justify="right", no_wrap=True)
    for (protocol,), of_it in groups(shown, "protocol").items():
        table.add_section()
        table.add_row(protocol, style="bold")
        for members in groups(of_it, "paradigm", "size").values():
            found = means(members)
            cells = [
                f"{found[name].mean:.{decimals}f}" if name in found else "–"
                for name, _, decimals in _COLUMNS
            ]
            table.add_row(series_name(members), str(len(members)), *cells)
    console.print(table)
    show_outcome(outcome(out, runs), console)
    console.print(f"Report: {report.page}", highlight=False, soft_wrap=True)
    return report
