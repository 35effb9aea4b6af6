"""What ``/openapi.json`` says of problems: FastAPI knows of media types of its own only."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from otp_server.api.schemas import ProblemDocument
from otp_server.problems import MEDIA_TYPE

__all__ = ["PROBLEMS", "Described", "name_of"]

_TOLD: dict[str, Any] = {
    "model": ProblemDocument,  # which a host's description has from here too, beside the right media type
    "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}},
}
_WRONG = "application/json"

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "A problem (RFC 9457): `reason` is one of those that `/problems` lists.", **_TOLD},
    503: {"description": "It cannot be done now, or until an operator acts.", **_TOLD},
}
"""What every address may answer besides what it is for; a 500 would be a bug."""


class Described(FastAPI):
    """An application whose description has problems under their own media type alone, and short names for programs."""

    def openapi(self) -> dict[str, Any]:
        """The description."""
        document = super().openapi()
        for way in (way for ways in document["paths"].values() for way in ways.values()):
            for status in map(str, PROBLEMS):
                way["responses"][status]["content"].pop(_WRONG, None)
        return document


def name_of(route: APIRoute) -> str:
    """The name of an operation, by which generated clients call it, such as ``verifications_start``."""
    return f"{route.tags[0]}_{route.name}"
