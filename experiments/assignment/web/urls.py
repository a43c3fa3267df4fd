"""The page that explains an assignment."""

from django.urls import path

from experiments.assignment.web.views import explain_view

app_name = "assignment"
urlpatterns = [path("explain/", explain_view, name="explain")]
