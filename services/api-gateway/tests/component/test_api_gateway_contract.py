"""OpenAPI is the contract: what it promises is held against the application with made-up requests."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api_gateway.handlers.http import create_http

_CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
)
_app = create_http()
schema = schemathesis.openapi.from_dict(_app.openapi())
schema.app = _app


@pytest.fixture(autouse=True)
def _ports(gateway: Any) -> None:
    _app.state.gateway = gateway


@schema.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_openapi_says(case: Any) -> None:
    case.call_and_validate(headers={"Authorization": "Bearer admin"}, checks=_CHECKS)
