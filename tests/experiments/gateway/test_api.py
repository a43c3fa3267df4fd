from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from experiments.gateway import keys
from experiments.gateway.roles import person
from experiments.gateway.services import create_key, revoke_key

pytestmark = pytest.mark.django_db


class Thing(APIView):
    write_roles = ("growth",)

    def get(self, request: Any) -> Response:
        return Response({"who": str(request.user), "person": str(person(request.user))})

    def post(self, request: Any) -> Response:
        return Response({})


class Catalogue(Thing):
    key_scope = "catalogue"


@pytest.fixture
def manage_key() -> str:
    return create_key(label="ci", client="ci", kind="secret", scopes=["manage"])[1]


def call(
    method: str = "get",
    view: type[APIView] = Thing,
    user: User | None = None,
    key: str = "",
) -> Response:
    headers = {"X-API-Key": key} if key else {}
    request = getattr(APIRequestFactory(), method)("/thing/", headers=headers)
    if user is not None:
        force_authenticate(request, user)
    answer: Response = view.as_view()(request)
    answer.render()
    return answer


def user(*roles: str) -> User:
    made = User.objects.create_user("ada")
    made.groups.set(Group.objects.filter(name__in=roles))
    return made


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_manage_key_may_read_and_write(manage_key: str, method: str) -> None:
    assert call(method, key=manage_key).status_code == 200


def test_a_key_may_come_as_bearer_too(manage_key: str) -> None:
    headers = {"Authorization": f"Bearer {manage_key}"}
    request = APIRequestFactory().get("/thing/", headers=headers)
    assert Thing.as_view()(request).status_code == 200


def test_a_key_is_a_known_caller_but_no_person(manage_key: str) -> None:
    answer = call(key=manage_key)
    assert answer.data == {"who": "key ci", "person": "None"}


def test_a_view_may_want_another_scope(manage_key: str) -> None:
    _, plain = create_key(
        label="feed", client="feed", kind="secret", scopes=["catalogue"]
    )
    assert call(view=Catalogue, key=plain).status_code == 200
    assert call(view=Thing, key=plain).status_code == 403
    assert call(view=Catalogue, key=manage_key).status_code == 403


def test_a_key_that_is_no_use_here_is_refused_by_name(manage_key: str) -> None:
    row, revoked = create_key(label="r", client="r", kind="secret", scopes=["manage"])
    revoke_key(row)
    _, public = create_key(
        label="p", client="p", kind="publishable", scopes=["evaluate"]
    )
    for plain, code in (
        ("sw_sk_nonsense", "key_malformed"),
        (keys.generate("secret"), "key_unknown"),
        (revoked, "key_unknown"),
        (public, "secret_key_needed"),
    ):
        answer = call(key=plain)
        assert (answer.status_code, answer.data["error"]["code"]) == (401, code)


def test_a_stranger_is_asked_for_a_key() -> None:
    answer = call()
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("role", "read", "write"),
    [
        ("viewer", 200, 403),
        ("growth", 200, 200),
        ("administrator", 200, 200),
        ("none", 403, 403),
    ],
)
def test_a_person_may_do_what_the_role_says(role: str, read: int, write: int) -> None:
    known = user(role)
    assert call("get", user=known).status_code == read
    assert call("post", user=known).status_code == write
