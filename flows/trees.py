"""A file of the shop's as plain values: what YAML and JSON share, bounded in size and depth."""

from datetime import date, datetime

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarbool import ScalarBoolean

from core.errors import Fault, Invalid

MAX_BYTES = 250_000  # some 5,000 lines; to read with positions takes seconds
MAX_DEPTH = 100
Location = tuple[str | int, ...]

# What ruamel's constructors let out for nonsense such as `!!int abc`, `2026-13-45` or `[[[[…`.
_NONSENSE = (YAMLError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError)


class NotPlain(Exception):
    """A value that no flow can hold, and where it stands."""

    def __init__(self, location: Location, message: str, message_ja: str) -> None:
        super().__init__(message)
        self.location, self.message, self.message_ja = location, message, message_ja


def parse(text: str) -> object:
    """The tree of a YAML or JSON text, with positions; raises `Invalid` with line and column."""
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise _unreadable(f"larger than {MAX_BYTES} bytes", 1, 1)
    try:
        tree: object = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _unreadable(error.problem or "cannot be read as YAML", *where) from None
    except ReaderError as error:
        raise _unreadable(
            "holds a character that YAML does not allow", *_place(text, error)
        ) from None
    except RecursionError:
        raise _unreadable("nested too deep") from None
    except _NONSENSE as error:
        raise _unreadable(" ".join(f"{type(error).__name__}: {error}".split())[:200]) from None
    return tree


def plain(tree: object) -> object:
    """The tree as dicts, lists, text, numbers, booleans and None; raises `NotPlain`.

    Aliases unfold here, so what comes out is bounded as the file is: ten short lines of aliases to
    aliases would otherwise fill the memory.
    """
    return _Plainer().value(tree, ())


def placed(tree: object, fault: Fault, location: Location | None = None) -> Fault:
    """The fault with its line and column: where `location`, else its own path, stands."""
    line, column = _position(tree, location if location is not None else _split(fault.path))
    return Fault(fault.path, fault.message, fault.message_ja, line, column)


def _position(tree: object, location: Location) -> tuple[int | None, int | None]:
    """Where in the file the location is, as far down as it exists; counted from 1."""
    found: tuple[int | None, int | None] = (1, 1) if hasattr(tree, "lc") else (None, None)
    here = tree
    for part in location:
        if isinstance(here, CommentedMap) and part in here:
            at = here.lc.key(part)
        elif isinstance(here, CommentedSeq) and isinstance(part, int) and part < len(here):
            at = here.lc.item(part)
        else:
            break
        found = (at[0] + 1, at[1] + 1)
        here = here[part]
    return found


def _split(path: str) -> Location:
    parts: list[str | int] = []
    for piece in path.replace("]", "").split("."):
        name, *indexes = piece.split("[")
        parts += [*([name] if name else []), *(int(index) for index in indexes)]
    return tuple(parts)


def dotted(location: Location) -> str:
    """A location as people write it: `steps[1].wait.days`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


class _Plainer:
    def __init__(self) -> None:
        self._room = MAX_BYTES

    def value(self, value: object, at: Location) -> object:
        self._spend(1, at)
        if len(at) > MAX_DEPTH:
            raise NotPlain(at, "nested too deep", "入れ子が深すぎます")
        if isinstance(value, dict):
            return {self._text(str(k), at): self.value(v, (*at, str(k))) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(inner, (*at, index)) for index, inner in enumerate(value)]
        return self._scalar(value, at)

    def _scalar(self, value: object, at: Location) -> object:
        if isinstance(value, str):
            return self._text(value, at)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, ScalarBoolean):
            return bool(value)
        if isinstance(value, int | float) and abs(value) < 2**63:
            # Neither .inf nor .nan nor what JSON readers round; and no number that knows how it was
            # written, which JSON writers refuse.
            return int(value) if isinstance(value, int) else float(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        raise NotPlain(at, "must be text, a number, true or false; put other things into quotes",
                       "文字、数、true、falseのいずれかにしてください")  # fmt: skip

    def _text(self, value: str, at: Location) -> str:
        self._spend(len(value), at)
        if "\x00" in value:
            raise NotPlain(at, "holds a NUL character", "使えない文字（NUL）が含まれています")
        try:  # JSON writes 🍎 as two escapes, which YAML reads as two halves
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            broken = "壊れた文字（サロゲートペアの片方）が含まれています"
            raise NotPlain(at, "holds half of a surrogate pair", broken) from None

    def _spend(self, size: int, at: Location) -> None:
        self._room -= size
        if self._room < 0:
            raise NotPlain(
                at,
                f"the aliases unfold to more than {MAX_BYTES} characters",
                "エイリアスを展開すると大きすぎます",
            )


def _place(text: str, error: ReaderError) -> tuple[int, int]:
    before = text[: error.position]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _unreadable(reason: str, line: int | None = None, column: int | None = None) -> Invalid:
    japanese = "YAMLとして読めません。字下げや引用符を確かめてください"
    fault = Fault("", f"not readable as YAML: {reason}", japanese, line, column)
    return Invalid("The flow has 1 fault.", [fault])
