"""The belt of flows."""

from core.jobs import Belt
from flows import engine

STEPS = Belt("steps", engine.advance, engine.due, width=2)
