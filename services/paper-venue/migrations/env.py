"""Run by Alembic for each migration."""

from sigmax.runtime.migrations import run

run("paper_venue")
