"""The admin API as one application, to be mounted at `/api/v1`."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from admin.api import (
    activities,
    audit_log,
    channels,
    clock,
    deliveries,
    docs,
    flows,
    friends,
    jobs,
    me,
    messages,
    quota,
    text_rules,
    tokens,
)
from admin.api.envelope import Envelope
from admin.api.handlers import HANDLERS
from admin.api.paging import Cursors
from admin.api.routing import Api
from admin.clock import AdvanceClock
from admin.tokens import Tokens
from core.runtime import Runtime

RESOURCES = (
    me, channels, friends, activities, flows, messages, text_rules, deliveries, quota, clock,
    tokens, audit_log, jobs,
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
