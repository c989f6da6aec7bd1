"""What a call to LINE raises."""

from core.line.answers import Outcome


class LineError(Exception):
    """LINE did not do what was asked.

    `status` is the HTTP status, None when there was no answer; `outcome` says whether to ask again.
    `detail` is fit for a log: no user ids, no secrets.
    """

    def __init__(self, status: int | None, detail: str, outcome: Outcome) -> None:
        super().__init__(f"LINE call failed ({outcome}, status {status}): {detail}")
        self.status, self.detail, self.outcome = status, detail, outcome
