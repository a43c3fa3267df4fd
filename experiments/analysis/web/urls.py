"""The experiment list, the report and the history."""

from django.urls import path

from experiments.analysis.web import views

app_name = "analysis"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("experiments/", views.overview, name="experiments"),
    path("experiments/<str:key>/", views.report, name="report"),
    path("experiments/<str:key>/history/", views.history, name="history"),
    path("experiments/<str:key>/analyse/", views.analyse, name="analyse"),
]
