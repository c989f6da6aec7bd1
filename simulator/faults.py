"""Faults on demand: what a network and a busy platform do to a client.

`cut_before` and `cut_after` close the connection without an answer, before or after the request has
been carried out; `500` does either by chance and then answers.
"""

import random
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from simulator.errors import LineError

Kind = Literal["429", "500", "slow", "cut_before", "cut_after", "502_html", "401", "quota"]
KINDS = get_args(Kind)


@dataclass(slots=True)
class Rule:
    """Strikes requests of `endpoint` (`*`: any) with this probability, at most `times` times."""

    kind: Kind
    endpoint: str = "*"
    probability: float = 1.0
    times: int | None = None
    delay_seconds: float = 1.0
    struck: int = 0

    def concerns(self, endpoint: str) -> bool:
        """Whether the rule is about this endpoint and not used up."""
        return self.endpoint in {"*", endpoint} and (self.times is None or self.struck < self.times)


class Faults:
    """The rules in force; the same seed gives the same strikes for the same requests."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._chance = random.Random(1)  # noqa: S311  not for secrets

    def set(self, body: object) -> None:
        """Replace all rules from `{"rules": […], "seed": 1}`. Raises `LineError` 400."""
        if not isinstance(body, dict) or not isinstance(body.get("rules"), list):
            raise LineError(400, "rules must be an array")
        self.rules = [_rule(one) for one in body["rules"]]
        self._chance = random.Random(body.get("seed", 1))  # noqa: S311

    def clear(self) -> None:
        """No more faults."""
        self.rules = []

    def strike(self, endpoint: str) -> Rule | None:
        """The rule that strikes this request, if one does."""
        for rule in self.rules:
            if rule.concerns(endpoint) and self._chance.random() < rule.probability:
                rule.struck += 1
                return rule
        return None

    def heads(self) -> bool:
        """Toss a coin."""
        return self._chance.random() < 1 / 2

    def public(self) -> dict[str, object]:
        """The rules with how often each struck."""
        return {"rules": [asdict(rule) for rule in self.rules]}


def _rule(body: object) -> Rule:
    if not isinstance(body, dict) or body.get("kind") not in KINDS:
        raise LineError(400, f"kind must be one of {', '.join(KINDS)}")
    known = {key: value for key, value in body.items() if key != "struck"}
    try:
        return Rule(**known)
    except TypeError as error:
        raise LineError(400, "unknown field in a rule") from error
