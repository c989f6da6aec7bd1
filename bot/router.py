"""Routers: which handler answers which event. Handlers return what to say, or None for "not mine".

router = Router("points")

@router.on(text_is("ポイント", "points"))
async def show_balance(turn: Turn) -> Replies: ...

@router.tap(ShowCard)
async def show_card(turn: Turn, button: ShowCard) -> Replies: ...
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from bot.turn import Replies, Turn
from core.buttons import ButtonData
from core.text_match import TextMatch, check_pattern

Match = Callable[[Turn], bool]
Handler = Callable[[Turn], Awaitable[Replies | None]]
Tap = TypeVar("Tap", bound=ButtonData)


@dataclass(frozen=True, slots=True)
class OnText:
    """A text match over turns."""

    match: TextMatch

    def __call__(self, turn: Turn) -> bool:
        return turn.folded is not None and self.match.matches(turn.folded)


def text_is(*words: str) -> OnText:
    """The whole text is one of the words."""
    return OnText(TextMatch("exact", words))


def text_starts(*words: str) -> OnText:
    """The text begins with one of the words."""
    return OnText(TextMatch("starts", words))


def text_contains(*words: str) -> OnText:
    """One of the words stands somewhere in the text."""
    return OnText(TextMatch("contains", words))


def text_matches(*patterns: str) -> OnText:
    """One of the regular expressions is found in the text."""
    for pattern in patterns:
        check_pattern(pattern)
    return OnText(TextMatch("regex", patterns))


def any_text(turn: Turn) -> bool:
    """Any text at all."""
    return turn.text is not None


def any_postback(turn: Turn) -> bool:
    """Any tapped button."""
    return turn.postback is not None


def event(*types: str) -> Match:
    """An event of one of LINE's types."""
    return lambda turn: turn.type in types


def message_of(*types: str) -> Match:
    """A message of one of LINE's types: `sticker`, `image` …"""
    return lambda turn: turn.message.get("type") in types


@dataclass(frozen=True, slots=True)
class Route:
    """One match and its handler; higher priority is asked first."""

    name: str
    match: Match
    handler: Handler
    priority: int


@dataclass(slots=True)
class Router:
    """A named list of routes."""

    name: str
    routes: list[Route] = field(default_factory=list)
    taps: dict[type[ButtonData], Callable[..., Awaitable[Replies | None]]] = field(
        default_factory=dict
    )

    def on(self, match: Match, *, priority: int = 0) -> Callable[[Handler], Handler]:
        """Answer what matches."""

        def add(handler: Handler) -> Handler:
            name = f"{self.name}.{getattr(handler, '__name__', 'handler')}"
            self.routes.append(Route(name, match, handler, priority))
            return handler

        return add

    def tap(
        self, kind: type[Tap]
    ) -> Callable[
        [Callable[[Turn, Tap], Awaitable[Replies | None]]],
        Callable[[Turn, Tap], Awaitable[Replies | None]],
    ]:
        """Answer a tap on a button of this kind."""

        def add(
            handler: Callable[[Turn, Tap], Awaitable[Replies | None]],
        ) -> Callable[[Turn, Tap], Awaitable[Replies | None]]:
            self.taps[kind] = cast("Callable[..., Awaitable[Replies | None]]", handler)
            return handler

        return add


def in_order(routers: Iterable[Router]) -> list[Route]:
    """All routes as they are asked: by priority, then as they were written."""
    routes = [route for router in routers for route in router.routes]
    return sorted(routes, key=lambda route: -route.priority)


async def answer(turn: Turn, routes: Sequence[Route]) -> tuple[str | None, Replies | None]:
    """Ask the routes in order; returns who answered and with what, or (None, None)."""
    for route in routes:
        if route.match(turn):
            replies = await route.handler(turn)
            if replies is not None:
                return route.name, replies
    return None, None


def kinds_of(routers: Iterable[Router]) -> dict[type[ButtonData], Callable[..., Any]]:
    """All kinds of buttons that somebody answers."""
    return {kind: handler for router in routers for kind, handler in router.taps.items()}
