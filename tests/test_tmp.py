import pytest
from django.contrib.auth import get_user_model


@pytest.mark.parametrize("n", range(6))
@pytest.mark.django_db
def test_a(n, redis_client):
    get_user_model().objects.create(username="x")
    assert redis_client.incr("x") == 1
