import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from experiments.gateway.roles import ROLES, has_role, person, role_required

pytestmark = pytest.mark.django_db


def user(*roles: str, name: str = "ada") -> User:
    made = User.objects.create_user(name)
    made.groups.set(Group.objects.filter(name__in=roles))
    return made


@role_required("growth")
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("shown")


def visit(by: User | AnonymousUser) -> HttpResponse:
    request = RequestFactory().get("/somewhere/")
    request.user = by
    return page(request)


def test_the_five_roles_are_made_by_migration() -> None:
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)


def test_a_role_is_held_through_its_group() -> None:
    analyst = user("analyst")
    assert has_role(analyst, "analyst", "growth")
    assert not has_role(analyst, "growth")


@pytest.mark.parametrize("role", ROLES)
def test_an_administrator_has_every_role(role: str) -> None:
    assert has_role(user("administrator"), role)


def test_a_superuser_has_every_role() -> None:
    assert has_role(User.objects.create_superuser("root"), "growth")


def test_nobody_else_has_a_role() -> None:
    assert not has_role(None, *ROLES)
    assert not has_role(AnonymousUser(), *ROLES)
    gone = user("growth")
    gone.is_active = False
    assert not has_role(gone, "growth")
    assert person(AnonymousUser()) is None


def test_a_page_sends_strangers_to_log_in_and_refuses_other_roles() -> None:
    assert visit(AnonymousUser()).headers["Location"].startswith("/admin/login/?next=")
    with pytest.raises(PermissionDenied):
        visit(user("viewer"))
    assert visit(user("growth", name="grace")).content == b"shown"
