"""What an archive may fail with: each a code and a sentence with its cure."""

from trabecula.archives.tls import CERTIFICATE_EXPIRED, CERTIFICATE_REFUSED, CERTIFICATES, OWN_REFUSED
from trabecula.errors import TrabeculaError

ARCHIVE_SILENT = "archive-silent"
OF_THE_WHOLE = (ARCHIVE_SILENT, *CERTIFICATES)
"""What is no trouble of one study: whatever is asked of the archive fails so."""

AGAIN = "Its studies are tried again when the same command is run again."


def unreachable(name: str, why: str, seconds: float, said: str = "") -> TrabeculaError:
    """What is raised where an archive cannot be spoken to, by the code of ``tls.why_unreachable``."""
    if why == CERTIFICATE_EXPIRED:
        return TrabeculaError(
            "certificate-expired", f"The certificate that the archive {name} shows has expired. Have it renewed there."
        )
    if why == CERTIFICATE_REFUSED:
        return TrabeculaError(
            "certificate-refused",
            f"The certificate that the archive {name} shows is not good for its host, or not of the authority in"
            " tls.ca. Name the authority's PEM file, and the host as its certificate has it.",
        )
    if why == OWN_REFUSED:
        return TrabeculaError(
            "own-certificate-refused",
            f"The archive {name} will not have our certificate. Give tls.certificate and tls.key of an authority that"
            " it trusts.",
        )
    return TrabeculaError("archive-silent", f"The archive {name} does not answer within {seconds:g} s{said}. {AGAIN}")


def not_retrieved(name: str, why: str) -> TrabeculaError:
    """What is raised where an archive answers, but not with the study."""
    return TrabeculaError("study-not-retrieved", f"The archive {name} did not give this study: {why}.")


def disk_full(name: str) -> TrabeculaError:
    """What is raised where the disk takes no more."""
    return TrabeculaError(
        "disk-full", f"What {name} sends has no room on the disk. Make room and run the same command again."
    )
