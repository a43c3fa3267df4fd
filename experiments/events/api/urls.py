"""Where the catalogue routes are."""

from django.urls import path

from experiments.events.api.views import ItemsView, UnitsView

urlpatterns = [
    path("items", ItemsView.as_view(), name="items"),
    path("units", UnitsView.as_view(), name="units"),
]
