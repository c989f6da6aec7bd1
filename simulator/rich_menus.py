"""Rich menus of one channel: definitions, pictures, aliases, the default.

Source: https://developers.line.biz/en/reference/messaging-api/#rich-menu
"""

import base64
import secrets
from dataclasses import dataclass, field

from simulator.actions import ALIAS_ID, Place, action
from simulator.checks import (
    Findings,
    boolean,
    by_type,
    graphemes,
    join,
    listing,
    matching,
    one_of,
    shape,
    text,
    whole,
)
from simulator.errors import InvalidBody, LineError
from simulator.pictures import measure
from simulator.state import Documents, Store

MAX_MENUS = 1_000
MAX_ALIASES = 1_000
MAX_AREAS = 20
MAX_IMAGE_BYTES = 1024 * 1024
MIN_WIDTH, MAX_WIDTH = 800, 2_500
MIN_HEIGHT = 250
MIN_RATIO = 1.45
MAX_OPERATIONS = 1_000
_NO_LIMIT = 2_147_483_647
_IMAGE_TYPES = ("image/png", "image/jpeg")


def _size_rules(size: dict[str, object], path: str, found: Findings) -> None:
    width, height = size.get("width"), size.get("height")
    known = isinstance(width, int) and isinstance(height, int) and height > 0
    if known and width / height < MIN_RATIO:  # type: ignore[operator]
        found.add(path, f"width / height must be {MIN_RATIO} or more")


def _areas_lie_inside(menu: dict[str, object], path: str, found: Findings) -> None:
    size, areas = menu.get("size"), menu.get("areas")
    if not isinstance(size, dict) or not isinstance(areas, list):
        return
    for index, area in enumerate(areas):
        bounds = area.get("bounds") if isinstance(area, dict) else None
        if isinstance(bounds, dict) and not _inside(bounds, size):
            found.add(f"{join(path, 'areas')}[{index}].bounds", "Must lie inside the menu")


def _inside(bounds: dict[str, object], size: dict[str, object]) -> bool:
    for start, length in (("x", "width"), ("y", "height")):
        sides = (bounds.get(start), bounds.get(length), size.get(length))
        if all(isinstance(side, int) for side in sides):
            at, long, limit = sides
            if at + long > limit:  # type: ignore[operator]
                return False
    return True


_bounds = shape(
    {
        "x": whole(0, _NO_LIMIT),
        "y": whole(0, _NO_LIMIT),
        "width": whole(1, _NO_LIMIT),
        "height": whole(1, _NO_LIMIT),
    }
)
_menu = shape(
    {
        "size": shape(
            {"width": whole(MIN_WIDTH, MAX_WIDTH), "height": whole(MIN_HEIGHT, MAX_WIDTH)},
            None,
            _size_rules,
        ),
        "selected": boolean,
        "name": text(300, count=graphemes),
        "chatBarText": text(14, count=graphemes),
        "areas": listing(
            shape({"bounds": _bounds, "action": action(Place.rich_menu)}), 0, MAX_AREAS
        ),
    },
    None,
    _areas_lie_inside,
)
_menu_id = text(1_000)
_operation = by_type(
    {
        "link": shape({"type": one_of("link"), "from": _menu_id, "to": _menu_id}),
        "unlink": shape({"type": one_of("unlink"), "from": _menu_id}),
        "unlinkAll": shape({"type": one_of("unlinkAll")}),
    }
)


def _operation_rules(body: dict[str, object], path: str, found: Findings) -> None:
    operations = body.get("operations")
    operations = operations if isinstance(operations, list) else []
    operations = [one for one in operations if isinstance(one, dict)]
    if len(operations) > 1 and any(one.get("type") == "unlinkAll" for one in operations):
        found.add("operations", "unlinkAll must stand alone")
    sources = [one.get("from") for one in operations if one.get("from") is not None]
    if len(sources) != len(set(map(str, sources))):
        found.add("operations", "from must be unique")


_batch = shape(
    {"operations": listing(_operation, 1, MAX_OPERATIONS)},
    {"resumeRequestKey": matching("[0-9a-zA-Z_-]{1,100}")},
    _operation_rules,
)


def check_menu(menu: object) -> Findings:
    """What is wrong with a rich menu object."""
    found = Findings()
    _menu(menu, "", found)
    return found


def check_batch(body: object) -> Findings:
    """What is wrong with a batch request."""
    found = Findings()
    _batch(body, "", found)
    return found


def check_image(content_type: str, content: bytes) -> None:
    """Raises `LineError` 413, 415 or 400 when LINE would not take the picture."""
    media_type = content_type.partition(";")[0].strip()
    if media_type not in _IMAGE_TYPES:
        raise LineError(415, "Unsupported Media Type")
    if len(content) > MAX_IMAGE_BYTES:
        raise LineError(413, "The image is too large: 1 MB is the limit")
    measured = measure(content)
    if measured is None or measured[0] != media_type:
        raise LineError(400, "The image format is not allowed for richmenu")


@dataclass(slots=True)
class RichMenu:
    """One menu; `image` is there after the upload, and then for good."""

    id: str
    channel_id: str
    definition: dict[str, object]
    image: bytes | None = None
    image_type: str = ""

    def public(self) -> dict[str, object]:
        """As LINE's API shows it."""
        return {"richMenuId": self.id, **self.definition}

    def document(self) -> dict[str, object]:
        """As it is kept."""
        return {
            "id": self.id,
            "channel_id": self.channel_id,
            "definition": self.definition,
            "image": base64.b64encode(self.image).decode() if self.image else None,
            "image_type": self.image_type,
        }


@dataclass(slots=True)
class Batch:
    """A batch request that has run."""

    request_id: str
    at: int
    resume_key: str | None = None


@dataclass(slots=True)
class RichMenus:
    """The menus of one channel. Who is linked to one stands with the friend."""

    channel_id: str
    store: Store
    menus: dict[str, RichMenu] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    default_id: str | None = None
    batches: dict[str, Batch] = field(default_factory=dict)

    def load(self, documents: Documents) -> None:
        """Take over what an earlier life has kept."""
        for document in documents.get("rich_menu", {}).values():
            if document["channel_id"] == self.channel_id:
                image = document.pop("image")
                menu = RichMenu(**document)  # type: ignore[arg-type]
                menu.image = base64.b64decode(str(image)) if image else None
                self.menus[menu.id] = menu
        own = documents.get("rich_menu_use", {}).get(self.channel_id, {})
        self.default_id = own.get("default_id")  # type: ignore[assignment]
        self.aliases = dict(own.get("aliases", {}))  # type: ignore[call-overload]

    def _keep_use(self) -> None:
        document = {"default_id": self.default_id, "aliases": self.aliases}
        self.store.put("rich_menu_use", self.channel_id, document)

    def create(self, definition: dict[str, object]) -> RichMenu:
        """Raises `InvalidBody`, or 400 beyond 1,000 menus."""
        found = check_menu(definition)
        if found.details:
            raise InvalidBody(found.details)
        if len(self.menus) >= MAX_MENUS:
            raise LineError(400, "The maximum number of rich menus has been reached")
        menu = RichMenu(f"richmenu-{secrets.token_hex(16)}", self.channel_id, definition)
        self.menus[menu.id] = menu
        self.store.put("rich_menu", menu.id, menu.document())
        return menu

    def get(self, menu_id: str) -> RichMenu:
        """Raises 404."""
        menu = self.menus.get(menu_id)
        if menu is None:
            raise LineError(404, "Not found")
        return menu

    def with_image(self, menu_id: str) -> RichMenu:
        """A menu that may be shown. Raises 404, or 400 when it has no picture yet."""
        menu = self.get(menu_id)
        if menu.image is None:
            raise LineError(400, "must upload richmenu image before applying it to user")
        return menu

    def delete(self, menu_id: str) -> None:
        """Raises 404. Aliases and links that point to the menu stay, and point to nothing."""
        self.get(menu_id)
        del self.menus[menu_id]
        self.store.delete("rich_menu", menu_id)
        if self.default_id == menu_id:
            self.set_default(None)

    def set_image(self, menu_id: str, content_type: str, content: bytes) -> None:
        """Once only. Raises 404, 400, 413, 415."""
        menu = self.get(menu_id)
        check_image(content_type, content)
        if menu.image is not None:
            raise LineError(400, "An image has already been uploaded to the richmenu")
        measured = measure(content)
        size = menu.definition["size"]
        if measured and {"width": measured[1], "height": measured[2]} != size:
            raise LineError(400, "The image size is not allowed for richmenu")
        menu.image, menu.image_type = content, content_type
        self.store.put("rich_menu", menu.id, menu.document())

    def set_default(self, menu_id: str | None) -> None:
        """Show this menu to everybody who has none of their own; None: no menu."""
        if menu_id is not None:
            self.with_image(menu_id)
        self.default_id = menu_id
        self._keep_use()

    def add_alias(self, alias: str, menu_id: str) -> None:
        """Raises 400 for a bad or taken name and for an unknown menu."""
        if not _is_alias(alias):
            raise LineError(400, "invalid richmenu alias id")
        if alias in self.aliases:
            raise LineError(400, "conflict richmenu alias id")
        if len(self.aliases) >= MAX_ALIASES:
            raise LineError(400, "The maximum number of rich menu aliases has been reached")
        self._point(alias, menu_id)

    def move_alias(self, alias: str, menu_id: str) -> None:
        """Raises 404 for an unknown alias, 400 for an unknown menu."""
        self.aliased(alias)
        self._point(alias, menu_id)

    def _point(self, alias: str, menu_id: str) -> None:
        menu = self.menus.get(menu_id)
        if menu is None:
            raise LineError(400, "richmenu not found")
        if menu.image is None:
            raise LineError(400, "must upload richmenu image before applying it to user")
        self.aliases[alias] = menu_id
        self._keep_use()

    def aliased(self, alias: str) -> str:
        """The menu id behind an alias. Raises 404."""
        if alias not in self.aliases:
            raise LineError(404, "richmenu alias not found")
        return self.aliases[alias]

    def delete_alias(self, alias: str) -> None:
        """Raises 404."""
        self.aliased(alias)
        del self.aliases[alias]
        self._keep_use()

    def shown(self, linked_id: str | None) -> RichMenu | None:
        """The menu a person sees who is linked to `linked_id`: their own, or the default."""
        return self.menus.get(linked_id or "") or self.menus.get(self.default_id or "")


def _is_alias(alias: str) -> bool:
    found = Findings()
    matching(ALIAS_ID)(alias, "", found)
    return not found.details
