"""Personalised pushes out of the outbox, against a bare aiohttp loop with ready bytes."""

from dataclasses import asdict

import orjson

from bench import children, places
from bench.children import CouldNotMeasure
from bench.figures import Figure, Reach
from bench.places import Bench
from bench.sender import Plan, Sent


def measure(bench: Bench, backend: str) -> list[Figure]:
    """Calls/s and processor time of both, round by round."""
    ours: list[Sent] = []
    floor: list[Sent] = []
    with places.stand_in(bench) as url, places.shop(bench, backend, line_url=url) as environment:
        for number in range(bench.rounds()):
            for mine in (number % 2 == 0, number % 2 == 1):
                sent = _send(bench, "ours" if mine else "floor", url, environment)
                (ours if mine else floor).append(sent)
    return [
        Figure("floor: bare aiohttp loop", "calls/s", [s.per_second for s in floor]),
        Figure("ours: from the outbox", "calls/s", [s.per_second for s in ours]),
        Figure(
            "ours / floor, calls/s",
            "",
            [mine.per_second / bare.per_second for mine, bare in zip(ours, floor, strict=True)],
            Reach(0.7, at_least=True),
        ),
        Figure("floor: sender's CPU", "µs/call", [s.cpu_each for s in floor]),
        Figure("ours: sender's CPU", "µs/call", [s.cpu_each for s in ours]),
    ]


def _send(bench: Bench, mode: str, url: str, environment: dict[str, str]) -> Sent:
    plan = Plan(url, places.CHANNEL_TOKEN, 3_000 if bench.quick else 10_000, 1_000)
    said = children.output_of(
        ["-m", "bench.sender", mode],
        environment,
        orjson.dumps(asdict(plan)),
        core=children.MEASURED,
        pinned=bench.pinned,
        seconds=120,
    )
    sent = Sent(**orjson.loads(said))
    if sent.pushes != plan.pushes:
        raise CouldNotMeasure(f"{sent.pushes} of {plan.pushes} pushes were sent ({mode})")
    return sent
