"""Who may come in: passwords as scrypt hashes, logins as random tokens of which only the hash is kept."""

import base64
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from trabecula.errors import WrongUsage, wrong_usage
from trabecula.studies.audit import What, note
from trabecula.studies.clock import now_utc
from trabecula.studies.store import OF_NODE
from trabecula.studies.tables import Login, Token, User

SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**15, 8, 3  # OWASP Password Storage Cheat Sheet; 32 MiB and about 0.2 s a guess
SHORTEST_PASSWORD = 12
LOGIN_HOURS = 12
FAILURES_HERE, FAILURES_ANYWHERE, FAILURE_MINUTES = 5, 100, 15
"""Wrong passwords for a name from one address or browser, and from all together, before there is a pause."""

MOST_KEYS = 10_000


class Role(StrEnum):
    """What somebody who logs in may see and do."""

    OWN = "own"  # sees, corrects and removes what they sent
    ALL = "all"  # sees and corrects everything, removes what they sent
    ADMIN = "admin"  # removes everything too


class Users:
    """The people who may log in, and who is logged in."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.hashing = threading.Lock()  # one guess at a time: many would fill the memory
        self.nobody = hashed(secrets.token_urlsafe())

    def add(self, name: str, password: str, role: Role | None = None, by: str = "") -> Role:
        """Let somebody in, or give them a new password; their old logins and tokens end. Returns their role.

        Without a ``role`` somebody known keeps theirs, the first user is an admin, and others see all.

        Raises:
            WrongUsage: the name or the password is too short.
        """
        if not (1 <= len(name) <= 40 and name.isprintable() and name.strip() == name):
            raise wrong_usage("user-name-unfit")
        if name.startswith(OF_NODE):
            raise wrong_usage("user-name-unfit.node", begin=OF_NODE)
        if len(password) < SHORTEST_PASSWORD:
            raise wrong_usage("password-too-short", least=SHORTEST_PASSWORD)
        with Session(self.engine) as session, session.begin():
            for table in (Login, Token):
                session.execute(delete(table).where(table.user == name))
            known = session.get(User, name)
            first = not session.scalar(select(func.count()).select_from(User))
            role = role or (_role_of(known) if known else Role.ADMIN if first else Role.ALL)
            session.merge(User(name=name, password=hashed(password), added_utc=now_utc(), role=role.value))
            did = What.USER_ADDED if known is None else What.USER_CHANGED
            note(session, by, did, user=name, role=role.value, password="new")
        return role

    def remove(self, name: str, by: str = "") -> None:
        """Nobody comes in by this name any more, their logins and tokens end at once; their studies stay.

        Raises:
            WrongUsage: there is no such user.
        """
        with Session(self.engine) as session, session.begin():
            if session.get(User, name) is None:
                raise _unknown(name)
            session.execute(delete(Login).where(Login.user == name))
            session.execute(delete(Token).where(Token.user == name))
            session.execute(delete(User).where(User.name == name))
            note(session, by, What.USER_REMOVED, user=name)

    def role_of(self, name: str | None) -> Role:
        """What a user may do. Where nobody logs in, whoever sits at the machine may everything."""
        if name is None:
            return Role.ADMIN
        with Session(self.engine) as session:
            user = session.get(User, name)
            return Role.OWN if user is None else _role_of(user)

    def any(self) -> bool:
        with Session(self.engine) as session:
            return bool(session.scalar(select(func.count()).select_from(User)))

    def knows(self, name: str) -> bool:
        with Session(self.engine) as session:
            return session.get(User, name) is not None

    def list(self) -> Sequence[tuple[str, Role, str, int]]:
        """Everybody by name: their role, since when, and how many tokens they have."""
        tokens = select(Token.user, func.count().label("number")).group_by(Token.user).subquery()
        query = select(User, tokens.c.number).outerjoin(tokens, tokens.c.user == User.name).order_by(User.name)
        with Session(self.engine) as session:
            return [(user.name, _role_of(user), user.added_utc, number or 0) for user, number in session.execute(query)]

    def change_role(self, name: str, role: Role, by: str = "") -> None:
        """Another role for somebody who is known.

        Raises:
            WrongUsage: there is no such user.
        """
        with Session(self.engine) as session, session.begin():
            user = session.get(User, name)
            if user is None:
                raise _unknown(name)
            user.role = role.value
            note(session, by, What.USER_CHANGED, user=name, role=role.value)

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


class Tokens:
    """What programs show instead of a password. Only the hash is kept."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def make(self, user: str, name: str) -> str:
        """A new token for ``user``, who is nobody where there are no users; it is told this once."""
        token = f"trabecula_{secrets.token_urlsafe(32)}"
        with Session(self.engine) as session, session.begin():
            session.add(Token(token_sha256=_digest(token), user=user, name=name, made_utc=now_utc()))
        return token

    def who(self, token: str) -> tuple[str, str] | None:
        """Whose token it is and what it is for, while it is good; the day of its use is kept.

        A token ends with whoever it stands for; one of nobody, made where nobody logs in, with the first user.
        """
        if not 20 <= len(token) <= 100:
            return None
        with Session(self.engine) as session, session.begin():
            found = session.get(Token, _digest(token))
            somebody = select(User.name).where(User.name == found.user) if found and found.user else select(User.name)
            if found is None or bool(found.user) != (session.scalar(somebody.limit(1)) is not None):
                return None
            user, name, day = found.user, found.name, now_utc()[:10]
            if found.used_utc[:10] != day:
                session.execute(update(Token).where(Token.token_sha256 == _digest(token)).values(used_utc=now_utc()))
        return user, name

    def of(self, user: str) -> Sequence[Token]:
        with Session(self.engine, expire_on_commit=False) as session:
            return session.scalars(select(Token).where(Token.user == user).order_by(Token.made_utc)).all()

    def drop(self, user: str, digest: str) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(delete(Token).where(Token.token_sha256 == digest, Token.user == user))


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


def _unknown(name: str) -> WrongUsage:
    return wrong_usage("user-unknown", name=name)


def _role_of(user: User) -> Role:
    return Role.ADMIN if user.role is None else Role(user.role)


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
