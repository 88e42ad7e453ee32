"""A cohort as the table that ``read_table`` reads: what a site would write by hand, of what is known."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from trabecula.causes import cause_of
from trabecula.cohort.case import CONTRAST, MASKS, Case, Cohort
from trabecula.cohort.files import Files
from trabecula.cohort.labels import LABELS
from trabecula.cohort.table import COLUMNS, MATERIALS, QCT
from trabecula.errors import wrong_usage

TABLE = "cohort.csv"


def write_table(cohort: Cohort, folder: Path) -> Path:
    """Writes ``cohort.csv`` into the folder that the cases' files lie in; columns that nobody fills are left out.

    Raises:
        WrongUsage: ``output-unwritable``: the folder cannot be written.
        ValueError: a case does not lie in files of that folder.
    """
    rows = [_row(case, folder) for case in cohort.cases]
    columns = [column for column in COLUMNS if any(row[column] for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = folder / TABLE
    partial = folder / f".{TABLE}.part"
    try:
        partial.write_text(text.getvalue(), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise wrong_usage("output-unwritable", path=str(path), cause=cause_of(error)) from error
    return path


def _row(case: Case, folder: Path) -> Mapping[str, str]:
    """A case's cell in every column, empty where nothing is known."""
    files, known = case.source, case.known
    if not isinstance(files, Files):
        raise ValueError(f"{case.name} does not lie in files")
    masks = {kind: files.mask_files.get(kind) for kind in MASKS}
    density = {column: known.density.get(level) for column, level in QCT.items()}
    material = next(name for name, quantity in MATERIALS.items() if quantity == known.quantity)
    numbering = next(name for name, labels in LABELS.items() if labels == files.labels)
    values: dict[str, object] = {
        "case": case.name,
        "path": files.ct.relative_to(folder).as_posix(),
        "patient": case.patient,
        **{f"{kind}_mask": path and path.relative_to(folder).as_posix() for kind, path in masks.items()},
        "labels": numbering if files.mask_files else None,
        **{column: None if value is None else f"{value:.2f}" for column, value in density.items()},
        "qct_material": material if known.density else None,
        "dxa_g_cm2": known.areal_bmd_g_cm2,
        "scanner": known.scanner,
        "site": known.site,
        "part": known.groups.get("part"),
        "split": case.split,
        "sex": known.sex,
        "age": known.age_years,
        "kvp": None if known.tube_voltage_kvp is None else f"{known.tube_voltage_kvp:g}",
        CONTRAST: known.groups.get(CONTRAST),
        "numbering": known.numbering,
        "findings": " ".join(f"{level}:{'+'.join(what)}" for level, what in known.findings.items()),
    }
    return {column: "" if (value := values[column]) is None else str(value) for column in COLUMNS}
