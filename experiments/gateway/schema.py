"""The storefront's routes on the OpenAPI page, from what each route says of itself."""

from collections.abc import Iterator
from typing import Any

import msgspec
from django.urls import URLPattern, get_resolver
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from experiments.gateway.handlers import Route
from experiments.gateway.mount import StorefrontView

_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, sw_pk_... or sw_sk_...",
}
_TEMPLATE = "#/components/schemas/{name}"


def mounted_routes() -> Iterator[Route]:
    """The routes that the URLconf mounts."""
    for pattern in get_resolver().url_patterns:
        if isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "__wrapped__", pattern.callback)
            if isinstance(view, StorefrontView):
                yield from view.routes


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # untyped
    """How drf-spectacular describes ``KeyAuthentication``."""

    target_class = "experiments.gateway.api.authentication.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:  # noqa: ARG002 # its signature
        """The scheme."""
        return _SCHEME


def _anything(_: type) -> dict[str, Any]:
    """The schema of a type that says nothing of itself: any JSON."""
    return {"description": "Any JSON."}


def add_storefront_routes(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """A drf-spectacular hook: add an operation for each mounted route."""
    routes = list(mounted_routes())
    types = [t for r in routes for t in (r.request_type, r.response_type) if t]
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_anything, ref_template=_TEMPLATE
    )
    by_type = dict(zip(types, schemas, strict=True))
    held = result.setdefault("components", {})
    held.setdefault("schemas", {}).update(components)
    held.setdefault("securitySchemes", {})["apiKey"] = _SCHEME
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
