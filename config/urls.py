"""Every address of the site; storefront routes are mounted for tests and docs."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from config import storefront
from config.api import router
from experiments.gateway.mount import url_patterns

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/v1/", include(router.urls)),
    path("api/v1/", include("experiments.events.api.urls")),
    path("api/v1/", include("experiments.assignment.api.urls")),
    path("", include("experiments.analysis.web.urls")),
    path("", include("experiments.decisions.web.urls")),
    path("", include("experiments.assignment.web.urls")),
    path("", include("experiments.design.web.urls")),
    path("", include("scoring.training.web.urls")),
    *url_patterns(storefront.site().dispatcher, storefront.open_services),
]
handler400 = "config.errors.bad_request"
handler403 = "config.errors.permission_denied"
handler404 = "config.errors.page_not_found"
handler500 = "config.errors.server_error"
