"""What an archive may fail with: each a code and a sentence with its cure."""

from trabecula.archives.tls import CERTIFICATE_EXPIRED, CERTIFICATE_REFUSED, CERTIFICATES, OWN_REFUSED
from trabecula.errors import TrabeculaError, failure
from trabecula.messages import Phrase

ARCHIVE_SILENT = "archive-silent"
OF_THE_WHOLE = (ARCHIVE_SILENT, *CERTIFICATES)
"""What is no trouble of one study: whatever is asked of the archive fails so."""


def unreachable(name: str, why: str, seconds: float, status: int | None = None) -> TrabeculaError:
    """What is raised where an archive cannot be spoken to, by the code of ``tls.why_unreachable`` or HTTP's status."""
    if status is not None:
        return failure("archive-silent.http", name=name, seconds=seconds, status=status)
    if why == CERTIFICATE_EXPIRED:
        return failure("certificate-expired", name=name)
    if why == CERTIFICATE_REFUSED:
        return failure("certificate-refused", name=name)
    if why == OWN_REFUSED:
        return failure("own-certificate-refused", name=name)
    return failure("archive-silent", name=name, seconds=seconds)


def not_retrieved(name: str, why: Phrase) -> TrabeculaError:
    """What is raised where an archive answers, but not with the study."""
    return failure("study-not-retrieved", name=name, why=why)


def disk_full(name: str) -> TrabeculaError:
    """What is raised where the disk takes no more."""
    return failure("disk-full.archive", name=name)
