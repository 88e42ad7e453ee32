"""A folder that ``trabecula simulate`` wrote, as a cohort: each subject, and its second scan where there is one."""

import hashlib
import json
from pathlib import Path
from typing import Any

from trabecula.anatomy import NAMED_LEVELS, Level
from trabecula.cohort.case import MASKS, Case, Cohort, Known, Split
from trabecula.cohort.files import Files
from trabecula.errors import wrong_usage
from trabecula.volume import point

Json = dict[str, Any]

NOTE = "cohort.json"

REFERENCE = "bmd_qct_region_k2hpo4"
"""Where a vertebra's reference density stands in truth.json: exact, and of the region that QCT reads."""


STUDY_GROUPS = {"vendor": "vendor", "site": "site", "scanner": "scanner", "part": "part", "view": "in view"}
"""What a study's people are broken down by, by its name in truth.json."""


def read_folder(folder: Path) -> Cohort:
    """The subjects that are whole; one that is being made has no folder yet.

    Raises:
        WrongUsage: it is no such folder, or a subject's truth.json is damaged.
    """
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        if not str(note["schema"]).startswith("trabecula.cohort/"):
            raise ValueError(note["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise wrong_usage("no-cohort", path=str(folder), note=NOTE) from error
    digest = hashlib.sha256()
    cases: list[Case] = []
    for truth_path in sorted(folder.glob("subject-*/truth.json")):
        content = truth_path.read_bytes()
        digest.update(content)
        try:
            cases += _cases(truth_path.parent, json.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise wrong_usage("truth-damaged", path=str(truth_path)) from error
    return Cohort(
        folder.name,
        digest.hexdigest(),
        tuple(cases),
        True,
        str(note.get("family")),
        str(note.get("version")),
        given=folder.name,
    )


def _cases(folder: Path, truth: Json) -> list[Case]:
    seed = truth["seed"]
    patient = f"virtual-{truth['family']}-{seed}"
    study = truth.get("study")
    split = None if study is None else Split(study["split"])
    cases = [Case(folder.name, patient, _files(folder), _known(truth, truth, truth["levels"]), split)]
    again = truth.get("rescan")
    if again is not None:
        known = _known(truth, again, again["levels"])
        cases.append(Case(f"{folder.name}-rescan", patient, _files(folder / "rescan"), known))
    return cases


def _files(folder: Path) -> Files:
    ct = folder / "ct"
    masks = {kind: folder / f"{kind}.nii.gz" for kind in MASKS}
    there = {kind: path for kind, path in masks.items() if path.exists()}
    return Files(ct if ct.is_dir() else folder / "ct.nii.gz", there)


def _known(truth: Json, scan: Json, views: Json) -> Known:
    """What is true of a person, and of one scan of it, in which ``views`` says what is in view."""
    vertebrae = {level: v for name, v in truth["levels"].items() if (level := _level(name)) is not None}
    others = {level: v for name, v in truth["other_vertebrae"].items() if (level := _level(name)) is not None}
    counted = truth.get("counting", {}).get("bodies", {})
    whole = [level for level in vertebrae if _whole(views[level])]
    if views is truth["levels"]:
        whole += [level for level, v in others.items() if _whole(v)]
    protocol, study = scan["protocol"], truth.get("study", {})
    about = groups(truth["sex"], truth["numbering"], scan["contrast_phase"], protocol["kvp"], protocol)
    return Known(
        sex=truth["sex"],
        age_years=truth["age_years"],
        scanner=study.get("scanner"),
        site=study.get("site"),
        tube_voltage_kvp=float(protocol["kvp"]),
        density={level: float(v[REFERENCE]) for level, v in vertebrae.items()},
        areal_bmd_g_cm2=truth["dxa"].get("measured_g_cm2", truth["dxa"]["areal_bmd_g_cm2"]),
        centres_lps_mm={level: point(v["centre_lps_mm"]) for level, v in {**vertebrae, **others}.items()},
        whole_levels=tuple(sorted(whole, key=NAMED_LEVELS.index)),
        findings={level: tuple(sorted(v["findings"])) for level, v in vertebrae.items() if v["findings"]},
        numbering=truth["numbering"],
        ribs_mm={Level(name): (v["rib_right_left_mm"][0], v["rib_right_left_mm"][1]) for name, v in counted.items()},
        joined_to_sacrum=_joined(truth["counting"]) if counted else None,
        groups=about | {name: study[key] for key, name in STUDY_GROUPS.items() if key in study},
    )


def _whole(view: Json) -> bool:
    """Whether a vertebra's body is wholly in view; older folders tell it only together with its arch."""
    return bool(view.get("body_whole", view["in_view"] and not view["cut_by_view"]))


def _joined(counting: Json) -> Level | None:
    """The vertebra above the sacrum, where a joint or bone joins it (Castellvi II to IV)."""
    if not {"joint", "bone"} & set(counting["castellvi_right_left"]):
        return None
    names = list(counting["bodies"])
    return Level(names[names.index(counting["sacrum"]) - 1])


def groups(sex: str, numbering: str, contrast: str, kvp: float, protocol: Json) -> dict[str, str]:
    """What the figures of virtual patients may be broken down by."""
    return {
        "sex": sex,
        "slices": slices(protocol["thickness_mm"]),
        "tube voltage": f"{kvp:g} kVp",
        "contrast": contrast,
        "numbering": numbering,
    }


def slices(thickness_mm: float) -> str:
    """The group of scans with slices of this thickness."""
    return "to 1.5 mm" if thickness_mm <= 1.5 else f"{thickness_mm:g} mm"


def _level(name: str) -> Level | None:
    return Level(name) if name in {level.value for level in NAMED_LEVELS} else None
