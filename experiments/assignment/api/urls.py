"""Addresses of the management API that explain assignments."""

from django.urls import path

from experiments.assignment.api.explain import ExplainView

urlpatterns = [
    path("assignments/explain", ExplainView.as_view(), name="explain-assignment"),
]
