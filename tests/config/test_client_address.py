import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from config.security import ClientAddressMiddleware


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("", "203.0.113.9", "203.0.113.9"),
        ("", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("", "[2001:db8::1]", "2001:db8::1"),
        ("unix:", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("", "no address", ""),
        ("", "", ""),
    ],
)
def test_only_the_fronts_word_about_the_client_is_taken(
    peer: str, forwarded: str, expected: str
) -> None:
    seen = []

    def answer(request: HttpRequest) -> HttpResponse:
        seen.append(request.META["REMOTE_ADDR"])
        return HttpResponse()

    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded})
    request.META["REMOTE_ADDR"] = peer
    ClientAddressMiddleware(answer)(request)
    assert seen == [expected]
