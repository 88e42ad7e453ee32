"""What people are told when something cannot be done, in their language."""

from trabecula.errors import TrabeculaError, WrongUsage
from trabecula.messages import Fact, Phrase


def wrong(code: str, /, **facts: Fact) -> WrongUsage:
    """What somebody did cannot be followed; the message files say why under ``web-`` and the code."""
    phrase = Phrase(f"web-{code}", facts)
    return WrongUsage(code, phrase.told(), phrase)


def cannot(key: str, /, **facts: Fact) -> TrabeculaError:
    """The server cannot do it just now; the code is what stands before a dot."""
    phrase = Phrase(f"web-{key}", facts)
    return TrabeculaError(key.partition(".")[0], phrase.told(), phrase)
