"""Runs this service's migrations."""

from sigmax.runtime.migrations import run

run("order_worker")
