"""Who may use the management API."""

from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from experiments.gateway.models import ApiKey
from experiments.gateway.roles import ROLES, has_role

if TYPE_CHECKING:  # DRF's views import us, by its default permissions
    from rest_framework.views import APIView


class ManageScopeOrRole(BasePermission):
    """A key with the view's scope, or a logged-in person by role.

    A view may name ``key_scope`` (default ``manage``) and ``write_roles``: the roles
    that may use unsafe methods. Safe methods need any role; without ``write_roles``
    only administrators may write.
    """

    message = "This needs a secret key with the right scope, or a role that may do it."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether the caller may use this method of the view."""
        if isinstance(request.auth, ApiKey):
            return getattr(view, "key_scope", "manage") in request.auth.scopes
        if request.method in SAFE_METHODS:
            return has_role(request.user, *ROLES)
        return has_role(request.user, *getattr(view, "write_roles", ()))
