"""Metrics, log lines, paths and roles that the documents name are the code's."""

import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from admin.api.app import RESOURCES
from admin.models import ROLES
from core import metrics
from delivery.models import STATES
from server.worker import BELTS
from simulator import faults, phone_api, workbench
from tests.docs import pages

OPERATIONS = pages.ROOT / "docs" / "operations.md"
ADMIN_API = pages.ROOT / "docs" / "admin-api.md"
SIMULATOR = pages.ROOT / "docs" / "simulator.md"
ARCHITECTURE = pages.ROOT / "docs" / "architecture.md"
FLOORS = ("core", "crm", "delivery", "flows", "bot", "admin", "server")


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_metric_exists(page: Path) -> None:
    known = {metric.name for metric in metrics.REGISTRY.collect()}
    lines = "\n".join(pages.code(page))

    named = set(re.findall(r"\b(okaeri_[a-z_]+?)(?:_total)?\b(?![./\w])", lines))

    assert named - known == set()


def test_every_log_line_exists() -> None:
    code = "\n".join(
        file.read_text("utf-8") for floor in FLOORS for file in (pages.ROOT / floor).rglob("*.py")
    )

    named = [
        cell for cell in pages.first_cells(OPERATIONS) if re.fullmatch(r"[a-z]+\.[a-z_]+", cell)
    ]

    assert named
    assert [name for name in named if f'"{name}"' not in code] == []


def test_every_path_of_the_admin_api_exists() -> None:
    routes = [
        r for resource in RESOURCES for r in resource.routes.routes if isinstance(r, APIRoute)
    ]
    patterns = [re.compile(re.sub(r"{\w+}", r"[^/]+", route.path)) for route in routes]
    lines = "\n".join(pages.code(ADMIN_API))

    named = set(re.findall(r"\$API(/[\w/{}.-]+)", lines))
    named |= set(re.findall(r"^(?:GET|POST|PUT|PATCH|DELETE) (/[\w/{}.-]+)", lines, re.MULTILINE))

    assert len(named) > 8
    assert [path for path in named if not any(p.fullmatch(path) for p in patterns)] == []


def test_every_path_of_the_simulator_exists() -> None:
    routes = [r for r in [*phone_api.routes(), *workbench.routes()] if isinstance(r, Route)]
    patterns = [re.compile(re.sub(r"{\w+}", r"[^/]+", route.path)) for route in routes]
    lines = "\n".join(pages.code(SIMULATOR))

    named = set(re.findall(r"(/simulator/[\w/$-]+)", lines))

    assert len(named) > 8
    assert [path for path in named if not any(p.fullmatch(path) for p in patterns)] == []


def test_every_role_state_belt_and_fault_is_explained() -> None:
    assert set(ROLES) | set(STATES) <= set(pages.first_cells(ADMIN_API))
    assert {belt.name for belt in BELTS} <= set(pages.first_cells(ARCHITECTURE))
    assert set(faults.KINDS) <= set(pages.first_cells(SIMULATOR))
