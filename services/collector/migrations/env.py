"""Run the migrations of the schema `collector`."""

from sigmax.runtime.migrations import run

run("collector")
