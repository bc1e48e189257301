"""Migrates the schema of api-gateway."""

from sigmax.runtime.migrations import run

run("api_gateway")
