"""Runs this service's migrations in its own schema."""

from sigmax.runtime.migrations import run

run("risk_gate")
