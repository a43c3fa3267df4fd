"""The assignment wing's storefront routes."""

from experiments.assignment.api import growthbook, native, ofrep, track
from experiments.gateway.handlers import Route

ROUTES: tuple[Route, ...] = (
    *native.ROUTES,
    *ofrep.ROUTES,
    *growthbook.ROUTES,
    *track.ROUTES,
)
