"""Every address of the site; storefront routes are mounted for tests and docs."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("", include("experiments.analysis.web.urls")),
    path("", include("experiments.decisions.web.urls")),
    path("", include("experiments.design.web.urls")),
    path("", include("scoring.training.web.urls")),
]
