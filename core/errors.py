"""Errors by what happened; the doors (admin, bot, command line) put them in their own words."""

from collections.abc import Sequence
from dataclasses import dataclass


class OkaeriError(Exception):
    """Base of everything that we expect to go wrong; its text may be read by staff."""


class SettingsError(OkaeriError):
    """One or more settings are missing or malformed."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class StartError(OkaeriError):
    """The server cannot start; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with what was given: where (`steps[1].wait.days`), and how to mend it."""

    path: str
    message: str
    message_ja: str = ""
    line: int | None = None
    column: int | None = None


class Invalid(OkaeriError):
    """What was given breaks a rule; nothing was changed."""

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = list(faults)


class NotFound(OkaeriError):
    """There is no such thing."""

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"There is no {what} {key!r}.")
        self.what, self.key = what, key


class Conflict(OkaeriError):
    """It cannot be done in the state things are in now."""


class StaleVersion(Conflict):
    """Somebody else changed it meanwhile."""

    def __init__(self, *, current: int) -> None:
        super().__init__(
            f"It was changed meanwhile and is at version {current} now; "
            "read it again and repeat your change on that."
        )
        self.current = current


class Unavailable(OkaeriError):
    """Something that we stand on (database, LINE) does not answer right now."""
