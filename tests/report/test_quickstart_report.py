import copy
import html.parser
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moalloy_md.analysis.statistics import Estimate
from moalloy_md.errors import DataError
from moalloy_md.report.numbers import significant, with_error
from moalloy_md.report.plots import (
    LearningCurve,
    distribution_plot,
    history_plot,
    learning_plot,
)
from moalloy_md.report.quickstart import (
    REQUIRED,
    ParityCheck,
    Picture,
    write_quickstart_report,
)

SUMMARY = {
    "data": {"n_train": 61, "n_test": 9},
    "test": {
        "energy_mae_mev_per_atom": 4.2342,
        "force_mae_mev_per_angstrom": 71.62,
        "mean_abs_force_mev_per_angstrom": 512.3,
    },
    "parity": {"passed": True},
    "md": {
        "lattice_parameter_angstrom": {"value": 3.168803, "error": 0.000204},
        "bcc_fraction": 0.99871,
        "steps": 2500,
    },
    "wall_s": 431.0,
}


class Page(html.parser.HTMLParser):
    """Text, tags and addresses of a page; fails on tags that do not match."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, path):
        super().__init__()
        self.words, self.open, self.addresses, self.images = [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href")]
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture
def report(tmp_path):
    def write(summary=SUMMARY, **options):
        path = tmp_path / "out" / "report.html"
        write_quickstart_report(path, summary, **options)
        return Page(path)

    return write


def estimate(discarded=40):
    return Estimate(3.1688, 0.0002, n_samples=160, n_effective=90.0, n_discarded=discarded)


def history(discarded=40):
    rng = np.random.default_rng(1)
    time = 0.02 * np.arange(200)
    return history_plot(
        time,
        300 + 20 * rng.standard_normal(200),
        3.1688 + 0.003 * np.sin(20 * time),
        target_k=300,
        estimate=estimate(discarded),
    )


def test_the_promised_keys_are_enough(report):
    text = report().text
    for expected in (
        "fitted to 61 DFT cells",
        "judged on 9 others",
        "2500 steps",
        "7.2 minutes",
        "71.6 meV/Å",
        "predicting zero would give 512",
        "4.23 meV/atom",
        "3.16880 ± 0.00020 Å",
        "99.9 %",
        "14 %",  # 71.62 / 512.3
    ):
        assert expected in text


def test_everything_that_is_given_is_shown(report):
    summary = copy.deepcopy(SUMMARY)
    summary["data"] |= {"n_valid": 7, "n_train_groups": 20, "elements": ["Mo", "Re", "W"]}
    summary["test"] |= {
        "energy_mae_interval": [3.1, 5.5],
        "force_mae_interval": [60.1, 85.2],
        "interval_method": "Bootstrap over 26 groups.",
    }
    summary["md"] |= {
        "composition": "Mo126W2", "n_atoms": 128, "temperature_k": 300, "timestep_ps": 0.002,
    }  # fmt: skip
    summary["md"]["lattice_parameter_angstrom"]["n_effective"] = 91.4
    text = report(
        summary,
        caveats=["Few k-points."],
        parity=[ParityCheck("energy (eV/atom)", 3.1e-13, 1e-9), ParityCheck("stress", 2e-3, 1e-9)],
        versions={"torch": "2.13.0", "git": None},
        next_commands=[("moalloy train my.yaml", "fit your own cells")],
        made_by=[("moalloy export m.model --out b", "the bundle")],
        error_pictures=[Picture(history(), "Errors by epoch.")],
        pictures=[Picture(history(), "Temperature against time.")],
    ).text
    for expected in (
        "valid 7 – choosing",
        "train 61 20 fitting",
        "Mo, Re, W",
        "3.10 to 5.50",
        "60.1 to 85.2",
        "Bootstrap over 26 groups.",
        "Mo126W2 (128 atoms)",
        "2500 steps of 2.0 fs (5.00 ps)",
        "at 300 K",
        "worth 91 independent samples",
        "Few k-points.",
        "energy (eV/atom) 3.1 × 10⁻¹³ 1.0 × 10⁻⁹ passed",
        "stress 0.0020 1.0 × 10⁻⁹ failed",
        "torch 2.13.0 · git (none)",
        "fit your own cells moalloy train my.yaml",
        "the bundle moalloy export m.model --out b",
        "Errors by epoch.",
        "Temperature against time.",
    ):
        assert expected in text, expected


def test_the_page_needs_nothing_else(report):
    page = report(pictures=[Picture(history(), "One."), Picture(history(0), "Two.")])
    assert len(page.addresses) == 2
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert [image["alt"] for image in page.images] == ["One.", "Two."]
    assert page.images[0]["width"] == "691"  # 7.2 inches of 96 CSS pixels


def test_markup_in_a_value_stays_text(report):
    page = report(caveats=["<script>alert('&')</script>"])
    assert "<script>alert('&')</script>" in page.text


def test_the_file_is_readable_by_others_and_alone_in_its_folder(report, tmp_path):
    report()
    (only,) = (tmp_path / "out").iterdir()
    assert only.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named_and_nothing_is_written(report, tmp_path, key):
    summary = copy.deepcopy(SUMMARY)
    *path, last = key.split(".")
    inner = summary
    for part in path:
        inner = inner[part]
    del inner[last]
    with pytest.raises(DataError, match=re.escape(f"expected the key {key!r}")):
        report(summary)
    assert not (tmp_path / "out").exists()


def test_an_old_report_survives_a_failure(report, tmp_path):
    report()
    path = tmp_path / "out" / "report.html"
    before = path.read_bytes()
    summary = copy.deepcopy(SUMMARY)
    summary["wall_s"] = "soon"
    with pytest.raises(TypeError):
        report(summary)
    assert path.read_bytes() == before


def test_a_picture_that_is_none_is_refused(report):
    with pytest.raises(DataError, match=r"expected a PNG for the picture 'Parity\.'"):
        report(pictures=[Picture(b"<svg/>", "Parity.")])


def pixels(png):
    import io

    from matplotlib.image import imread

    return imread(io.BytesIO(png))


def test_learning_curve_marks_the_epoch_that_was_kept():
    epochs, errors = np.arange(50), 100.0 * 0.95 ** np.arange(50)
    early, late = (
        pixels(learning_plot([LearningCurve("one", epochs, errors, 5 * errors, kept_epoch=kept)]))
        for kept in (5, 45)
    )
    changed = np.flatnonzero(np.abs(early - late).max(axis=(0, 2)) > 0.1) / early.shape[1]
    assert changed.min() < 0.3
    assert changed.max() > 0.85
    assert not np.any((changed > 0.35) & (changed < 0.75))


def test_distribution_marks_the_shells():
    r = np.linspace(0.0, 7.0, 200)
    plain, marked = (
        pixels(distribution_plot(r, np.exp(-((r - 3) ** 2)), shells_angstrom=shells))
        for shells in ([], [5.0])
    )
    columns = np.flatnonzero(np.abs(plain - marked).max(axis=(0, 2)) > 0.1) / plain.shape[1]
    assert columns.size
    assert np.ptp(columns) < 0.02
    assert 0.65 < columns.mean() < 0.8  # five sevenths of the axis


def test_history_shades_what_was_left_out():
    plain, shaded = pixels(history(0)), pixels(history(100))
    assert plain.shape == shaded.shape
    width = plain.shape[1]
    changed = np.abs(plain - shaded).max(axis=-1) > 0.02
    columns = np.flatnonzero(changed.mean(axis=0) > 0.5)  # shaded from top to bottom
    assert len(columns) > 0.3 * width  # half of the time axis
    assert columns.max() < 0.65 * width


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 3, "0"),
        (0.0, 3, "0"),
        (71.55001, 3, "71.6"),
        (-71.6, 2, "-72"),
        (99.96, 3, "100"),
        (9.996, 3, "10.0"),
        (1234.5, 3, "1234"),
        (123456.0, 3, "123456"),
        (1234567.0, 3, "1.23 × 10⁶"),
        (0.00012, 2, "0.00012"),
        (3.14e-12, 2, "3.1 × 10⁻¹²"),
    ],
)
def test_numbers_have_the_digits_that_they_deserve(value, digits, text):
    assert significant(value, digits) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3.168803, 0.000204, "3.16880 ± 0.00020"),
        (3.168803, 0.0000996, "3.16880 ± 0.00010"),
        (300.4, 12.3, "300 ± 12"),
        (1234.0, 250.0, "1234 ± 250"),
        (3.15, 0.0, "3.15000"),
    ],
)
def test_values_are_cut_at_their_errors(value, error, text):
    assert with_error(value, error) == text


@given(st.floats(1e-300, 1e300), st.integers(1, 6))
def test_written_numbers_are_the_numbers(value, digits):
    text = significant(value, digits)
    plain = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")).replace(" × 10", "e")
    assert float(plain) == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits))
