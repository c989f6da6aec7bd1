"""Who am I: the token that asks."""

from admin.api.fields import Told, like
from admin.api.routing import Who, least, router

routes = router("me")


class Me(Told):
    """The token that asks."""

    model_config = like({"name": "レジ", "role": "clerk"})

    name: str
    role: str


@routes.get("/me", summary="Who am I", openapi_extra=least("viewer", "自分のトークン"))
async def who_am_i(caller: Who) -> Me:
    """The name and role of the token that asks: the quickest way to try a token."""
    return Me(name=caller.name, role=caller.role)
