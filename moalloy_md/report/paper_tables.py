"""Tables 1 and 2 of the paper (Preprints 202089, CC BY 4.0): test-set errors to stand beside ours.

Energies in meV/atom, forces in meV/Å; mean and standard deviation over folds.
"""

from dataclasses import dataclass

Pair = tuple[float, float]


@dataclass(frozen=True)
class PaperRow:
    """One row of the paper's Table 1."""

    name: str
    """As in the paper."""
    kind: str
    """Kind of paradigm: ``zero-shot``, ``scratch`` or ``fine-tune``."""
    size: str
    """``small``, ``medium`` or ``large``."""
    energy_mae: Pair
    energy_rmse: Pair
    force_mae: Pair
    force_rmse: Pair


TABLE_1 = (
    PaperRow("FT-Eq (Small)", "fine-tune", "small", (17.07, 4.74), (30.31, 11.40), (11.00, 0.75), (22.82, 1.69)),
    PaperRow("FT-Eq (Medium)", "fine-tune", "medium", (8.10, 1.40), (12.45, 2.79), (11.11, 0.72), (22.25, 1.66)),
    PaperRow("FT-Eq (Large)", "fine-tune", "large", (7.34, 1.71), (13.20, 4.02), (12.98, 1.21), (26.32, 2.64)),
    PaperRow("FT-NonEq (Small)", "fine-tune", "small", (5.55, 0.14), (7.47, 0.49), (18.28, 0.27), (31.58, 0.75)),
    PaperRow("FT-NonEq (Medium)", "fine-tune", "medium", (3.51, 0.13), (4.95, 0.80), (15.69, 0.18), (27.33, 0.62)),
    PaperRow("FT-NonEq (Large)", "fine-tune", "large", (2.27, 0.07), (3.79, 0.89), (13.83, 0.18), (24.26, 0.48)),
    PaperRow("Scratch-Eq (Small)", "scratch", "small", (75.04, 22.02), (124.60, 28.00), (17.08, 3.04), (31.17, 5.58)),
    PaperRow("Scratch-Eq (Medium)", "scratch", "medium", (111.96, 11.91), (144.37, 20.92), (11.26, 2.46), (21.03, 4.57)),
    PaperRow("Scratch-Eq (Large)", "scratch", "large", (121.53, 8.58), (153.38, 18.81), (3.57, 1.08), (5.91, 1.94)),
    PaperRow("Zero-shot-Eq (Small)", "zero-shot", "small", (159.20, 6.90), (176.53, 4.62), (69.44, 5.50), (146.13, 7.86)),
    PaperRow("Zero-shot-Eq (Medium)", "zero-shot", "medium", (184.43, 7.04), (200.03, 4.99), (50.26, 3.46), (100.56, 4.79)),
    PaperRow("Zero-shot-Eq (Large)", "zero-shot", "large", (143.93, 4.39), (151.50, 3.35), (44.55, 3.33), (88.57, 4.55)),
)  # fmt: skip

#: Energy MAE, energy RMSE, force MAE, force RMSE of FT-Eq (Medium) by held-out element.
TABLE_2: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "lodo-strict": {
        "Fe": (54.16, 57.20, 50.3, 108.8), "Mn": (73.71, 77.06, 45.5, 93.4),
        "Nb": (69.64, 73.65, 36.2, 74.4), "Re": (132.05, 138.02, 40.9, 69.3),
        "Ta": (112.42, 116.76, 28.0, 60.8), "Ti": (61.56, 64.50, 31.4, 69.6),
        "V": (90.18, 95.19, 34.6, 71.8), "W": (117.84, 123.69, 49.4, 118.9),
        "Y": (6.80, 9.15, 43.7, 74.8), "Zr": (44.37, 47.09, 37.1, 71.2),
        "Cr": (84.01, 87.88, 54.1, 126.8),
    },
    "lodo-relaxed": {
        "Fe": (9.31, 10.13, 17.8, 41.9), "Mn": (7.48, 8.44, 15.3, 29.6),
        "Nb": (8.56, 10.22, 9.0, 14.8), "Re": (6.46, 9.02, 12.1, 23.8),
        "Ta": (8.89, 11.14, 11.0, 19.1), "Ti": (7.73, 11.24, 10.2, 19.3),
        "V": (7.45, 8.76, 11.8, 23.6), "W": (8.01, 9.09, 9.9, 18.8),
        "Y": (10.03, 14.54, 18.5, 32.4), "Zr": (10.28, 14.33, 13.9, 24.3),
        "Cr": (136.15, 141.50, 77.4, 177.2),
    },
}  # fmt: skip

#: New elements (Al Zn Cu Ag Au Hg Co Ni Hf): energy MAE and RMSE, meV/atom.
NEW_ELEMENTS = {"proxy": (60.38, 69.44), "refined": (16.12, 22.29)}
