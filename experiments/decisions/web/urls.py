"""Ship, keep the control, roll back."""

from django.urls import path

from experiments.decisions.web import views

app_name = "decisions"
urlpatterns = [
    path("experiments/<str:key>/ship/", views.ship_view, name="ship"),
    path("experiments/<str:key>/keep_control/", views.keep_view, name="keep_control"),
    path("experiments/<str:key>/roll_back/", views.roll_back_view, name="roll_back"),
]
