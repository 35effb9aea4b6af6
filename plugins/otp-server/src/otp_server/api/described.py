"""What ``/openapi.json`` says of problems: FastAPI knows of media types of its own only."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from otp_server.api.schemas import ProblemDocument
from otp_server.problems import MEDIA_TYPE

__all__ = ["PROBLEMS", "Described", "name_of"]

_NAME = ProblemDocument.__name__
_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{_NAME}"}}}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "A problem (RFC 9457): `reason` is one of those that `/problems` lists.",
        "content": _CONTENT,
    },
    503: {"description": "It cannot be done now, or until an operator acts.", "content": _CONTENT},
}
"""What every address may answer besides what it is for; a 500 would be a bug."""


class Described(FastAPI):
    """An application whose description has what ``PROBLEMS`` refers to, and short names for programs."""

    def openapi(self) -> dict[str, Any]:
        """The description."""
        document = super().openapi()
        schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"][_NAME] = schema
        return document


def name_of(route: APIRoute) -> str:
    """The name of an operation, by which generated clients call it, such as ``verifications_start``."""
    return f"{route.tags[0]}_{route.name}"
