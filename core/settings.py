"""Settings: environment variables with the prefix `OKAERI_`, also from `.env`, checked at start."""

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsError

PREFIX = "OKAERI_"
SIMULATED_KEY = "only-for-a-simulated-clock-never-for-a-real-shop"


class Settings(BaseSettings):
    """Everything that an operator can set; the description of each field is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True
    )

    database_url: str = Field(
        "sqlite+aiosqlite:///okaeri.db",
        description="Where the truth lives: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://…`",
    )
    redis_url: str = Field(
        "",
        description="`redis://HOST:PORT/N` for several processes; empty: everything in one process",
    )
    public_url: str = Field(
        "http://localhost:8000", description="Where LINE and browsers reach the server"
    )
    line_api_url: str = Field("https://api.line.me", description="Base of LINE's API")
    line_data_api_url: str = Field(
        "https://api-data.line.me", description="Base of LINE's data API"
    )
    line_access_url: str = Field("https://access.line.me", description="Base of LINE's dialogs")
    line_channel_id: str = Field("", description="Channel id of a first channel, created at start")
    line_channel_secret: SecretStr = Field(SecretStr(""), description="Its channel secret")
    line_channel_access_token: SecretStr = Field(
        SecretStr(""), description="Its long-lived channel access token"
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Signs links and buttons and encrypts what is stored of LINE's secrets; "
        "at least 16 characters; required outside the demo. `openssl rand -hex 32` makes one",
    )
    time_zone: str = Field("Asia/Tokyo", description="The shop's time zone")
    clock: Literal["real", "simulated"] = Field(
        "real", description="`simulated`: time moves only when told (demo, rehearsal, tests)"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least important log lines to write"
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="One JSON object a line, or text"
    )
    allow_http_urls: bool = Field(
        default=False,
        description="Lets messages link to `http://localhost`, for the demo; LINE takes https only",
    )

    phone_url: str = Field("", description="Where the demo's phone is; the start page links to it")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        scheme, separator, rest = url.partition("://")
        kind = scheme.split("+")[0]
        if not separator or kind not in {"sqlite", "postgresql", "postgres"}:
            msg = "must begin with sqlite+aiosqlite:/// or postgresql+asyncpg://"
            raise ValueError(msg)
        if kind == "sqlite":
            _check_file(rest)
            return f"sqlite+aiosqlite://{rest}"
        _check_address(url)
        return f"postgresql+asyncpg://{rest}"

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, url: str) -> str:
        if url and not url.startswith(("redis://", "rediss://", "unix://")):
            msg = "must begin with redis:// (or be empty)"
            raise ValueError(msg)
        if url:
            _check_address(url)
        return url

    @field_validator("public_url", "line_api_url", "line_data_api_url", "line_access_url")
    @classmethod
    def _bare_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")) or not url.partition("://")[2].strip("/"):
            msg = "must begin with https:// (or http:// on one machine) and name a host"
            raise ValueError(msg)
        _check_address(url)
        return url.rstrip("/")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            msg = "is not a time zone; write it like Asia/Tokyo"
            raise ValueError(msg) from None
        return name

    @field_validator("line_channel_id")
    @classmethod
    def _channel_digits(cls, value: str) -> str:
        if value and not re.fullmatch("[0-9]{1,32}", value):
            msg = "must be the channel id from the LINE Developers console (digits only)"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        key = self.secret_key.get_secret_value()
        if not key and self.clock == "real":
            msg = "OKAERI_SECRET_KEY is missing; make one with: openssl rand -hex 32"
            raise ValueError(msg)
        if key and len(key) < 16:  # noqa: PLR2004
            msg = "OKAERI_SECRET_KEY is too short; make one with: openssl rand -hex 32"
            raise ValueError(msg)
        if self.line_channel_id and not self.line_channel_secret.get_secret_value():
            msg = (
                "OKAERI_LINE_CHANNEL_SECRET is missing beside OKAERI_LINE_CHANNEL_ID; "
                "it stands in the LINE Developers console, tab Basic settings"
            )
            raise ValueError(msg)
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of one process."""
        return self.database_url.startswith("sqlite")

    @property
    def sqlite_path(self) -> Path | None:
        """The file of an SQLite database; None for PostgreSQL."""
        if not self.is_sqlite:
            return None
        return Path(self.database_url.partition(":///")[2].partition("?")[0])

    @property
    def key(self) -> str:
        """The secret key; a well-known one where the clock is simulated and none is set."""
        return self.secret_key.get_secret_value() or SIMULATED_KEY


def load(**values: Any) -> Settings:  # noqa: ANN401
    """Read the settings; raises `SettingsError` that names each variable, never its value."""
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError([_sentence(dict(e)) for e in error.errors()]) from None
    except UnicodeDecodeError:
        raise SettingsError(["The file .env is not UTF-8 text; save it as UTF-8"]) from None


def _check_file(rest: str) -> None:
    if not rest.startswith("/"):
        msg = "needs three slashes before the file, as in sqlite+aiosqlite:///okaeri.db"
        raise ValueError(msg)
    if rest.partition("?")[0].removeprefix("/") in {
        "",
        ":memory:",
    }:  # readers and the writer would see two databases
        msg = "must name a file, as in sqlite+aiosqlite:///okaeri.db"
        raise ValueError(msg)


def _check_address(url: str) -> None:
    try:
        urlsplit(url).port  # noqa: B018 - raises for a port that is no number
    except ValueError:
        scheme = url.partition("://")[0]
        msg = f"has no valid port or host; it reads like {scheme}://HOST:PORT/…"
        raise ValueError(msg) from None


def _sentence(error: dict[str, Any]) -> str:
    name = PREFIX + "_".join(str(part) for part in error["loc"]).upper() if error["loc"] else ""
    return f"{name} {error['msg'].removeprefix('Value error, ')}".strip()
