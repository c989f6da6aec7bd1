"""What goes wrong, in the words of LINE's API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detail:
    """One finding in a request body: what is wrong, and where."""

    message: str
    property: str


class LineError(Exception):
    """An answer of LINE with status >= 400: `{"message": …, "details": […]}`.

    Source: https://developers.line.biz/en/reference/messaging-api/#error-responses
    """

    def __init__(
        self,
        status: int,
        message: str,
        details: Sequence[Detail] = (),
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = tuple(details)
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def body(self) -> dict[str, object]:
        """The JSON object LINE would answer with."""
        answer: dict[str, object] = {"message": self.message}
        if self.details:
            answer["details"] = [
                {"message": d.message, "property": d.property} for d in self.details
            ]
        return {**answer, **self.more}


class InvalidBody(LineError):
    """400 with one detail for each finding."""

    def __init__(self, details: Sequence[Detail]) -> None:
        super().__init__(400, f"The request body has {len(details)} error(s)", details)


class OAuthError(LineError):
    """The token endpoints answer `{"error": …, "error_description": …}` instead."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(status, description)
        self.error = error

    def body(self) -> dict[str, object]:
        """The JSON object of the OAuth specification."""
        return {"error": self.error, "error_description": self.message}


def not_found() -> LineError:
    """404 as LINE says it."""
    return LineError(404, "Not found")


def unauthorized() -> LineError:
    """401 as LINE says it."""
    reason = "invalid token. Confirm that the access token in the authorization header is valid."
    return LineError(401, f"Authentication failed due to the following reason: {reason}")


def rate_limited() -> LineError:
    """429 of the token bucket."""
    return LineError(429, "The API rate limit has been exceeded. Try again later.")


def over_quota() -> LineError:
    """429 of the month's messages."""
    return LineError(429, "You have reached your monthly limit.")
