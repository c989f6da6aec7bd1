"""Tables of the ground floor: the simulated time and the timetable's runs."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field

from core.db import Model, UtcDateTime


class SimulatedTime(Model, table=True):
    """The shop's time where the clock is simulated; at most one row."""

    __tablename__ = "simulated_time"

    id: int = Field(primary_key=True)
    now_at: datetime = Field(sa_type=UtcDateTime)


class JobRun(Model, table=True):
    """One run of one timetable entry; the primary key decides who may plan it."""

    __tablename__ = "job_run"
    __table_args__ = (
        Index(
            "ix_job_run_open",
            "retry_at",
            postgresql_where=text("done_at IS NULL"),
            sqlite_where=text("done_at IS NULL"),
        ),
    )

    job: str = Field(primary_key=True, max_length=60)
    slot_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    retry_at: datetime = Field(sa_type=UtcDateTime)
    attempts: int = 0
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    result: int | None = None
    error: str | None = None
