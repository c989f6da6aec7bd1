"""How our pages look and what a browser may do with them."""

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from core.settings import Settings

HERE = Path(__file__).parent
CSS = (HERE / "style.css").read_text(encoding="utf-8")
_TEMPLATES = Environment(
    loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_STYLE = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()


def page(settings: Settings, template: str, status: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401
    """A page that is kept nowhere, runs no script and sends its form to us alone.

    The browser follows the form on to LINE's dialog, so that LINE is a place it may go to.
    """
    html = _TEMPLATES.get_template(template).render(css=CSS, **values)
    line = urlsplit(settings.line_access_url)
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE}'; img-src data:; base-uri 'none'; "
        f"form-action 'self' {line.scheme}://{line.netloc}; frame-ancestors 'none'"
    )
    return HTMLResponse(
        html, status, {**PRIVATE, "Content-Security-Policy": policy, "X-Frame-Options": "DENY"}
    )


# same-origin: the address holds a ticket, and our own forms are to say where they come from.
PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
