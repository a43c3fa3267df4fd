"""Who may do what: five roles, kept as Django groups."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeAlias

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

VIEWER = "viewer"
ANALYST = "analyst"
GROWTH = "growth"
ENGINEER = "engineer"
ADMINISTRATOR = "administrator"
ROLES = (VIEWER, ANALYST, GROWTH, ENGINEER, ADMINISTRATOR)

P = ParamSpec("P")
View: TypeAlias = Callable[Concatenate[HttpRequest, P], HttpResponse]


def person(user: AbstractBaseUser | AnonymousUser | None) -> User | None:
    """The user as a person who can be named in a record; None for a key."""
    return user if isinstance(user, User) and user.is_active else None


def has_role(user: AbstractBaseUser | AnonymousUser | None, *roles: str) -> bool:
    """Whether a user has one of these roles; an administrator has them all.

    A superuser is an administrator. The groups are read once per user object.
    """
    known = person(user)
    if known is None:
        return False
    if known.is_superuser:
        return True
    held: frozenset[str] | None = getattr(known, "_roles_held", None)
    if held is None:
        held = frozenset(known.groups.values_list("name", flat=True))
        known._roles_held = held  # type: ignore[attr-defined] # noqa: SLF001 # cache
    return ADMINISTRATOR in held or not held.isdisjoint(roles)


def role_required(*roles: str) -> Callable[[View[P]], View[P]]:
    """Admit a page's visitor by role (any role when none is named).

    Visitors who are not logged in are sent to log in; others get a 403.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(
            request: HttpRequest, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not has_role(request.user, *(roles or ROLES)):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded  # type: ignore[return-value] # mypy names the argument

    return decorate
