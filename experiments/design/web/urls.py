"""Buttons of the report page that move an experiment along its life."""

from django.urls import path

from experiments.design.web.views import transition_view

app_name = "design"
urlpatterns = [
    path("experiments/<str:key>/<str:action>/", transition_view, name="transition"),
]
