"""Models, their versions, their comparison, and runs."""

from django.urls import path

from scoring.training.web import views

app_name = "training"
urlpatterns = [
    path("models/", views.models, name="models"),
    path("models/compare/", views.compare, name="compare"),
    path("models/<str:model>/<int:number>/", views.version, name="version"),
    path("runs/", views.runs, name="runs"),
    path("runs/<int:job_id>/", views.run, name="run"),
    path("runs/<int:job_id>/cancel/", views.cancel, name="cancel"),
]
