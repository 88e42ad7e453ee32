"""Who may come in: passwords as scrypt hashes, logins as random tokens of which only the hash is kept."""

import base64
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session

from trabecula.errors import WrongUsage
from trabecula.studies.store import now_utc
from trabecula.studies.tables import Login, User

SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**15, 8, 3  # OWASP Password Storage Cheat Sheet; 32 MiB and about 0.2 s a guess
SHORTEST_PASSWORD = 12
LOGIN_HOURS = 12
FAILURES_HERE, FAILURES_ANYWHERE, FAILURE_MINUTES = 5, 100, 15
"""Wrong passwords for a name from one address or browser, and from all together, before there is a pause."""

MOST_KEYS = 10_000


class Users:
    """The people who may log in, and who is logged in."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.hashing = threading.Lock()  # one guess at a time: many would fill the memory
        self.nobody = hashed(secrets.token_urlsafe())

    def add(self, name: str, password: str) -> None:
        """Let somebody in, or give them a new password; their old logins end.

        Raises:
            WrongUsage: the name or the password is too short.
        """
        if not (1 <= len(name) <= 40 and name.isprintable() and name.strip() == name):
            raise WrongUsage("user-name-unfit", "A user name has 1 to 40 printable letters and no space at its ends.")
        if len(password) < SHORTEST_PASSWORD:
            raise WrongUsage("password-too-short", f"A password needs at least {SHORTEST_PASSWORD} letters.")
        with Session(self.engine) as session, session.begin():
            session.execute(delete(Login).where(Login.user == name))
            session.merge(User(name=name, password=hashed(password), added_utc=now_utc()))

    def any(self) -> bool:
        with Session(self.engine) as session:
            return bool(session.scalar(select(func.count()).select_from(User)))

    def check(self, name: str, password: str) -> bool:
        """Whether the password is right; a name that nobody has takes as long to refuse."""
        with Session(self.engine) as session:
            user = session.get(User, name) if name.isprintable() else None
            kept = self.nobody if user is None else user.password
        with self.hashing:
            right = matches(password, kept)
        return right and user is not None

    def log_in(self, name: str) -> str:
        """A token for the browser."""
        token = secrets.token_urlsafe(32)
        until = (datetime.now(UTC) + timedelta(hours=LOGIN_HOURS)).isoformat(timespec="seconds")
        with Session(self.engine) as session, session.begin():
            session.execute(delete(Login).where(Login.until_utc < now_utc()))
            session.add(Login(token_sha256=_digest(token), user=name, until_utc=until))
        return token

    def log_out(self, token: str) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(delete(Login).where(Login.token_sha256 == _digest(token)))

    def who(self, token: str) -> str | None:
        """Whose token it is, while it is good."""
        with Session(self.engine) as session:
            login = session.get(Login, _digest(token))
            return None if login is None or login.until_utc < now_utc() else login.user


class Failures:
    """Slows down guessing: after so many wrong passwords under a key there is a pause.

    A key is a name with an address or browser. Whoever guesses from elsewhere does not lock out the owner of the name.
    """

    def __init__(self, minutes: float = FAILURE_MINUTES) -> None:
        self.seconds = 60 * minutes
        self.at: defaultdict[str, deque[float]] = defaultdict(deque)
        self.lock = threading.Lock()

    def wait_seconds(self, most: Mapping[str, int]) -> float:
        """How long nobody may try; 0 where they may. ``most`` says how many wrong ones each key allows."""
        now = time.monotonic()
        with self.lock:
            return max((self._wait(key, limit, now) for key, limit in most.items()), default=0.0)

    def count(self, keys: Iterable[str]) -> None:
        now = time.monotonic()
        with self.lock:
            if len(self.at) > MOST_KEYS:  # of names that somebody made up
                for key in list(self.at):
                    self._wait(key, 1, now)
            for key in keys:
                self.at[key].append(now)

    def forget(self, key: str) -> None:
        with self.lock:
            self.at.pop(key, None)

    def _wait(self, key: str, most: int, now: float) -> float:
        times = self.at.get(key)
        if times is None:
            return 0.0
        while times and now - times[0] > self.seconds:
            times.popleft()
        if not times:
            del self.at[key]
            return 0.0
        return self.seconds - (now - times[0]) if len(times) >= most else 0.0


def hashed(password: str) -> str:
    """The password as it is kept."""
    salt = os.urandom(16)
    return f"scrypt${_encoded(salt)}${_encoded(_scrypt(password, salt))}"


def matches(password: str, kept: str) -> bool:
    """Whether ``kept`` is the hash of the password."""
    kind, salt, digest = kept.split("$")
    return kind == "scrypt" and hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), base64.b64decode(digest))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, maxmem=256 * SCRYPT_N * SCRYPT_R
    )


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
