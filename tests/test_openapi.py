"""What integrators call is described, and the description in the docs is the one that is served."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from prikkfri.assurance.response import http as customers
from prikkfri.config import Roles
from prikkfri.protocols.asgi import REFUSALS, HttpResponse, Request
from prikkfri.protocols.openapi import route
from prikkfri.sms import http as messages
from prikkfri.web.status_page import server as status

DOCS = Path(__file__).parents[1] / "docs" / "openapi"
DESCRIBED = {"sms": messages.described, "assurance": customers.described, "status": status.described}


def document(role: str) -> dict[str, Any]:
    return json.loads(json.dumps(DESCRIBED[role](Roles().edge(role).url)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("role", DESCRIBED)
def test_the_description_is_openapi_and_stands_in_the_docs(role: str) -> None:
    described, file = document(role), DOCS / f"{role}.json"
    OpenAPIV31SpecValidator(described).validate()
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written == described, f"write {file} anew: `python {Path(__file__).name}` in tests/"


def test_the_description_is_served_as_it_is_to_whoever_asks_for_it() -> None:
    described: dict[str, Any] = {"openapi": "3.1.0"}
    served = route(described)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    assert (served.method, served.path) == ("GET", "/openapi.json")
    assert asyncio.run(served.answer(Request({"method": "GET", "path": "/openapi.json"}, receive))) == HttpResponse(
        200, described
    )


def test_every_operation_says_what_it_may_be_refused_for() -> None:
    known = {
        f"{role} {method.upper()} {path}": {
            status: answer["content"]["application/json"]["schema"]["allOf"][1]["properties"]["error"]["enum"]
            for status, answer in operation["responses"].items()
            if int(status) >= 400
        }
        for role in DESCRIBED
        for path, methods in document(role)["paths"].items()
        for method, operation in methods.items()
    }
    everywhere = {"400", "408", "414", "431", "500", "503"}
    assert {name: set(slugs) - everywhere for name, slugs in known.items()} == {
        "sms POST /messages": {"401", "413", "422", "429"},
        "sms GET /messages/{id}": {"401", "404", "429"},
        "assurance GET /was-i-hit": {"401"},
        **{f"status GET /api/v2/{name}": set() for name in status.PARTS},
    }
    assert known["sms POST /messages"] == {
        "400": ["bad-recipient", "bad-request", "bad-sender"],
        "401": ["wrong-credentials"],
        "408": ["too-slow"],
        "413": ["too-long"],
        "414": ["address-too-long"],
        "422": ["no-route", "not-text", "text-length", "too-long"],
        "429": ["too-many-tries"],
        "431": ["headers-too-large"],
        "500": ["in-doubt", "internal"],
        "503": ["overloaded", "queue-full", "storage", "throttled"],
    }
    assert known["sms GET /messages/{id}"]["404"] == ["not-found", "unknown-message"]
    assert known["assurance GET /was-i-hit"]["401"] == ["bad-token", "expired", "revoked"]
    assert {slug for slugs in known.values() for told in slugs.values() for slug in told} & REFUSALS.keys()


def test_when_to_come_again_and_who_may_ask_are_said() -> None:
    operation = document("sms")["paths"]["/messages"]["post"]
    told = [status for status, answer in operation["responses"].items() if "Retry-After" in answer.get("headers", {})]
    assert told == ["429", "503"]
    assert operation["security"] == [{"account": []}]
    assert document("assurance")["paths"]["/was-i-hit"]["get"]["security"] == [{"device": []}]
    assert "securitySchemes" not in document("status")["components"]


def test_what_the_description_allows_fits_into_what_is_read() -> None:
    """Even when each letter is written as two escaped surrogates."""
    fields = document("sms")["components"]["schemas"]["Submission"]["properties"]
    assert fields["text"]["minLength"] == fields["to"]["minLength"] == fields["from"]["minLength"] == 1
    longest = {name: "\U0001f600" * field["maxLength"] for name, field in fields.items()}
    assert len(json.dumps(longest)) < messages.BODY_OCTETS_MAX


if __name__ == "__main__":
    for name in DESCRIBED:
        text = json.dumps(document(name), indent=2, ensure_ascii=False)
        (DOCS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
