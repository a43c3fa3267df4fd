"""The assignment wing's storefront routes."""

from experiments.assignment.api import native, ofrep
from experiments.gateway.handlers import Route

ROUTES: tuple[Route, ...] = (*native.ROUTES, *ofrep.ROUTES)
