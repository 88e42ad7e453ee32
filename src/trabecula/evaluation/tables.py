"""Markdown tables, and the figures that others have published to hold ours against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """What a publication reports of its own test data; a dash where it is silent."""

    system: str
    dice: str
    bmd: str
    diagnosis: str


PUBLISHED = (
    Published(
        "Niu 2023",
        "0.95; 96.6% of cases > 0.9",
        "R2 0.967, bias 2.21, limits -10.16 to 14.57 mg/cm3",
        "AUC 0.984 (osteoporosis), 0.993 (abnormal)",
    ),
    Published("Fang 2021", "least mean 0.823 / 0.786 / 0.782 on three vendors", "r > 0.98 each", "-"),
    Published(
        "Peng 2023",
        "-",
        "MAE 6.30 / 10.26, RMSE 8.56 / 13.51, R2 0.962 / 0.878 (test / independent)",
        "mean AUC 0.970 / 0.933; accuracy 0.909 / 0.815",
    ),
    Published("Pan 2024", "0.951 +/- 0.030", "-", "AUC normal / osteopenia / osteoporosis 0.990 / 0.952 / 0.980"),
    Published("Yasaka 2020", "-", "r 0.852 / 0.840 against DXA", "AUC 0.965 / 0.970"),
    Published("Pan Y. 2020", "0.866", "r 0.964 to 0.968, mean error 2.2 to 4.0 mg/cm3", "AUC 0.927 / 0.942"),
    Published("ABMD (FDA K213760)", "-", "r 0.97 against manual QCT, 0.72 against DXA", "-"),
    Published("Bunkerhill BMD (K242295)", "-", "r 0.791", "sensitivity 81.0%, specificity 78.4%"),
)
"""Each on its own patients: they can be read beside one another, not ranked."""

NIU2023_TEST = {
    "Localisation recall": "100%",
    "Localisation precision": "100%",
    "Dice, mean": "0.95",
    "Dice, share above 0.9": "96.6%",
    "BMD R2": "0.967",
    "BMD bias, mg/cm3": "2.21",
    "BMD lower limit of agreement, mg/cm3": "-10.16",
    "BMD upper limit of agreement, mg/cm3": "14.57",
    "Osteoporosis: AUC": "0.984 (0.965 to 1)",
    "Osteoporosis: sensitivity": "95.45% (21/22)",
    "Osteoporosis: specificity": "91.03% (71/78)",
    "Osteoporosis: PPV": "75.00% (21/28)",
    "Osteoporosis: NPV": "98.60% (71/72)",
    "Abnormal: AUC": "0.993 (0.982 to 1)",
    "Abnormal: sensitivity": "96.55% (56/58)",
    "Abnormal: specificity": "100.00% (42/42)",
    "Abnormal: PPV": "100.00% (56/56)",
    "Abnormal: NPV": "95.45% (42/44)",
    "Seconds a case, median": "8.46 (Tesla P100 server)",
}
"""Niu 2023, results and table 1, test set of 100 patients."""


@dataclass(frozen=True)
class Column:
    """What the publication of a recipe reports of one set of patients, by the names that our figures have.

    ``part`` is the group "part" of a cohort like it that stands for this set; None where there is but one.
    """

    source: str
    figures: Mapping[str, str]
    part: str | None = None


def _fang(part: str, patients: int, dice: str) -> Column:
    return Column(
        f"Fang 2021, {part}, {patients} patients",
        {"Dice, lowest mean of a level": f"{dice}, of bodies", "BMD r": "> 0.98"},
        part,
    )


def _peng(source: str, part: str, figures: Sequence[str]) -> Column:
    names = (
        "Macro AUC",
        "Macro F1",
        "Accuracy in three categories",
        "Macro precision",
        "Macro recall",
        "Macro specificity",
        "BMD mean absolute error, mg/cm3",
        "BMD root-mean-square error, mg/cm3",
        "BMD R2",
        "BMD r",
    )
    return Column(source, dict(zip(names, figures, strict=True)), part)


def _pan(source: str, normal: str, osteopenia: str, osteoporosis: str) -> Column:
    areas = {"Normal: AUC": normal, "Osteopenia: AUC": osteopenia, "Osteoporosis: AUC": osteoporosis}
    return Column(source, {"Dice of a case, mean": "0.951, SD 0.030 (300 training images)", **areas})


_NIU = (Column("Niu 2023, 100 patients", NIU2023_TEST),)

PUBLISHED_FOR: Mapping[str, tuple[Column, ...]] = {
    "niu2023": _NIU,
    "niu2023-fixed-crop": _NIU,
    "fang2021": (
        _fang("test, vendor 1", 463, "0.823"),
        _fang("test, vendor 2", 200, "0.786"),
        _fang("test, vendor 3", 200, "0.782"),
    ),
    "peng2023": (
        _peng(
            "Peng 2023, test, 176 patients",
            "test",
            ("0.970", "0.903", "0.909", "0.899", "0.908", "0.956", "6.303", "8.561", "0.962", "0.981, P < 0.001"),
        ),
        _peng(
            "Peng 2023, independent test, 340 patients",
            "independent test",
            ("0.933", "0.798", "0.815", "0.792", "0.81", "0.899", "10.257", "13.507", "0.878", "0.94, P < 0.001"),
        ),
    ),
    "pan2024": (_pan("Pan 2024, model 1, 418 patients", "0.990", "0.952", "0.980"),),
    "pan2024-l1": (_pan("Pan 2024, model 2, 418 patients", "0.983", "0.940", "0.978"),),
    "yasaka2020": (
        Column(
            "Yasaka 2020, internal, 45 patients",
            {"BMD r": "0.852, P < 0.001", "Osteoporosis: AUC": "0.965"},
            "internal test",
        ),
        Column(
            "Yasaka 2020, external, 50 patients",
            {"BMD r": "0.840, P < 0.001", "Osteoporosis: AUC": "0.970"},
            "external test",
        ),
    ),
}
"""What the publication of a recipe reports, by the recipe: never shown beside another."""


PUBLISHED_FOLDS: Mapping[str, Column] = {
    "niu2023": Column(
        "Niu 2023, 4 validation sets, 400 patients",
        {
            "Dice, mean": "0.95",
            "Dice, share above 0.9": "95%",
            "BMD R2": "0.952",
            "BMD bias, mg/cm3": "0.79",
            "BMD lower limit of agreement, mg/cm3": "-15.01",
            "BMD upper limit of agreement, mg/cm3": "16.59",
            "Osteoporosis: AUC": "0.987 (0.980 to 0.995)",
            "Osteoporosis: sensitivity": "98.99% (98/99)",
            "Osteoporosis: specificity": "92.36% (278/301)",
            "Osteoporosis: PPV": "80.99% (98/121)",
            "Osteoporosis: NPV": "99.64% (278/279)",
            "Abnormal: AUC": "0.984 (0.974 to 0.994)",
            "Abnormal: sensitivity": "95.98% (239/249)",
            "Abnormal: specificity": "92.72% (140/151)",
            "Abnormal: PPV": "95.60% (239/250)",
            "Abnormal: NPV": "93.33% (140/150)",
        },
    )
}
"""What is published of a cross-validation's held-out cases taken together, by the recipe."""

PUBLISHED_DELONG: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("pan2024", "pan2024-l1"): {"abnormal": "P = 0.033", "osteopenia": "P = 0.210", "osteoporosis": "P = 0.546"}
}
"""The P of DeLong's test between two models of a publication, by finding."""

PUBLISHED_CURVES: Mapping[str, tuple[int, float, float]] = {"pan2024": (300, 0.951, 0.030)}
"""Training images, mean Dice and its SD, of the publication of a recipe."""


def markdown(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, one line a row, without a closing line break.

    Raises:
        ValueError: a row has another length than the heads.
    """
    lines = [list(heads), ["---"] * len(heads), *([str(cell) for cell in row] for row in rows)]
    for line in lines:
        if len(line) != len(heads):
            raise ValueError(f"{len(heads)} heads but {len(line)} cells: {line}")
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def peers(ours: Sequence[Published]) -> str:
    """Published systems, ours below them, as a Markdown table."""
    rows = [(p.system, p.dice, p.bmd, p.diagnosis) for p in (*PUBLISHED, *ours)]
    return markdown(("system", "segmentation Dice", "BMD", "diagnosis"), rows)


def beside(
    recipe: str, ours: Mapping[str, str], head: str, part: str | None = None
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows of our figures, those of the recipe's own publication before them where there is one.

    Of the published columns only those of ``part`` where it has some, else all. A published figure that was not
    measured here is said so, never passed over.
    """
    columns = PUBLISHED_FOR.get(recipe, ())
    columns = tuple(one for one in columns if part is not None and one.part == part) or columns
    names = dict.fromkeys([*(name for one in columns for name in one.figures), *ours])
    rows = [(name, *(one.figures.get(name, "-") for one in columns), ours.get(name, "not measured")) for name in names]
    return ("figure", *(one.source for one in columns), head), rows
