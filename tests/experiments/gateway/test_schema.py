from drf_spectacular.generators import SchemaGenerator

from config import storefront


def test_every_storefront_route_is_on_the_openapi_page() -> None:
    schema = SchemaGenerator().get_schema(  # type: ignore[no-untyped-call] # untyped
        request=None, public=True
    )
    for route in storefront.ROUTES:
        operation = schema["paths"][route.pattern][route.method.lower()]
        assert operation["summary"] == route.summary
        assert bool(operation["security"]) == (route.scope is not None)
    body = schema["paths"]["/api/v1/assignments"]["post"]["requestBody"]
    reference = body["content"]["application/json"]["schema"]["$ref"]
    name = reference.removeprefix("#/components/schemas/")
    assert set(schema["components"]["schemas"][name]["properties"]) == {
        "placement",
        "units",
        "timestamp",
        "dry_run",
    }
