"""Whatever a cohort was given as: a folder of ``simulate``, a table, virtual patients or a study's cohort to draw."""

from pathlib import Path

from trabecula.cohort.case import Cohort, require_sound
from trabecula.errors import wrong_usage


def read_cohort(given: str, judging: bool, leave_out_bad: bool = False) -> Cohort:
    """The cohort that is named; ``judging`` one to evaluate by, not to train on.

    Raises:
        WrongUsage: there is none, it is damaged, it has bad rows, or nobody is in it.
    """
    from trabecula.cohort.drawn import PREFIX, drawn_cohort
    from trabecula.cohort.folder import read_folder
    from trabecula.cohort.like import PREFIX as LIKE
    from trabecula.cohort.like import like_cohort
    from trabecula.cohort.table import read_table

    path = Path(given)
    if given.startswith(PREFIX):
        cohort = drawn_cohort(given, judging)
    elif given.startswith(LIKE):
        cohort = like_cohort(given)
    elif path.is_dir():
        cohort = read_folder(path)
    elif path.exists():
        cohort = read_table(path)
    else:
        raise wrong_usage("cohort-missing", given=given)
    require_sound(cohort, leave_out_bad)
    return cohort
