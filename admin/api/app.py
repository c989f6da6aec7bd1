"""The admin API as one application, to be mounted at `/api/v1`."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from admin.api import (
    activities,
    attributes,
    audit_log,
    channels,
    clock,
    coupon_uses,
    coupons,
    customers,
    deliveries,
    docs,
    doubles,
    flows,
    friends,
    imports,
    jobs,
    linking,
    lookup,
    me,
    merges,
    messages,
    points,
    purchases,
    quota,
    ranks,
    sources,
    text_rules,
    tokens,
    topics,
)
from admin.api.envelope import Envelope
from admin.api.handlers import HANDLERS
from admin.api.paging import Cursors
from admin.api.routing import Api
from admin.clock import AdvanceClock
from admin.tokens import Tokens
from core.runtime import Runtime

RESOURCES = (
    lookup, me, channels, friends, customers, attributes, topics, doubles, merges, points, ranks,
    imports, activities,
    coupon_uses, coupons, purchases, sources, flows, messages, text_rules, deliveries, quota,
    linking, clock, tokens, audit_log, jobs,
)  # fmt: skip


def create_api(
    runtime: Runtime, *, advance: AdvanceClock | None, more: Sequence[APIRouter] = ()
) -> FastAPI:
    """The admin API. `advance` moves the time where the clock is simulated, None elsewhere.

    `more` are resources that need what admin may not import, such as the webhook inbox.

    `app.state.api.tokens.settled()` waits for notes of token use that are still being written; to
    be awaited before the runtime closes.
    """
    app = FastAPI(
        title="Okaeri admin API",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        exception_handlers=HANDLERS,
    )
    app.state.api = Api(
        runtime=runtime,
        tokens=Tokens(runtime.db),
        cursors=Cursors(runtime.seal.signer("cursors")),
        advance=advance,
    )
    app.add_middleware(Envelope)
    for routes in (*(resource.routes for resource in RESOURCES), *more):
        app.include_router(routes)
    docs.add_to(app)
    return app
