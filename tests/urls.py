"""The pages and the admin alone, for tests that need no API and no storefront."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("experiments.analysis.web.urls")),
    path("", include("experiments.decisions.web.urls")),
    path("", include("experiments.design.web.urls")),
    path("", include("scoring.training.web.urls")),
]
