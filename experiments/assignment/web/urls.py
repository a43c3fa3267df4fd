"""The pages that explain an assignment and that change a split."""

from django.urls import path

from experiments.assignment.web.views import explain_view, split_view

app_name = "assignment"
urlpatterns = [
    path("explain/", explain_view, name="explain"),
    path("experiments/<str:key>/split/", split_view, name="split"),
]
