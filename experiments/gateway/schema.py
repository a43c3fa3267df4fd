"""The storefront's routes on the OpenAPI page, from what each route says of itself."""

from collections.abc import Iterator
from typing import Any

import msgspec
from django.urls import URLPattern, get_resolver

from experiments.gateway.handlers import Route
from experiments.gateway.mount import StorefrontView

_TEMPLATE = "#/components/schemas/{name}"


def mounted_routes() -> Iterator[Route]:
    """The routes that the URLconf mounts."""
    for pattern in get_resolver().url_patterns:
        if isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "__wrapped__", pattern.callback)
            if isinstance(view, StorefrontView):
                yield from view.routes


def add_storefront_routes(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """A drf-spectacular hook: add an operation for each mounted route."""
    routes = list(mounted_routes())
    types = [t for r in routes for t in (r.request_type, r.response_type) if t]
    schemas, components = msgspec.json.schema_components(types, _TEMPLATE)
    by_type = dict(zip(types, schemas, strict=True))
    held = result.setdefault("components", {})
    held.setdefault("schemas", {}).update(components)
    held.setdefault("securitySchemes", {})["apiKey"] = {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, sw_pk_... or sw_sk_...",
    }
    for route in routes:
        path = result.setdefault("paths", {}).setdefault(route.pattern, {})
        path[route.method.lower()] = _operation(route, by_type)
    return result


def _operation(route: Route, schemas: dict[type, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": ["storefront"],
        "parameters": [
            {
                "name": segment[1:-1],
                "in": "path",
                "required": True,
                "schema": {"type": "string"},
            }
            for segment in route.pattern.split("/")
            if segment.startswith("{")
        ],
        "security": [{"apiKey": []}] if route.scope else [],
        "responses": {"200": {"description": "Done."}},
    }
    if route.scope:
        operation["description"] = f"Needs a key with the scope `{route.scope}`."
    if route.request_type:
        operation["requestBody"] = {
            "required": True,
            "content": _json(schemas[route.request_type]),
        }
    if route.response_type:
        operation["responses"]["200"]["content"] = _json(schemas[route.response_type])
    return operation


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _operation_id(route: Route) -> str:
    words = route.pattern.replace("{", "").replace("}", "").strip("/").split("/")
    return "_".join([*words, route.method.lower()]).replace("-", "_")
