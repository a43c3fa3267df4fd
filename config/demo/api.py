"""The management API as the demo's people use it: over HTTP, with a key."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

POLL_S = 0.2


class ApiError(Exception):
    """The API refused; the message carries its status and envelope."""


class ManagementApi:
    """Calls of the management API, answered as decoded JSON."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._key = key

    def get(self, path: str) -> dict[str, Any]:
        """Read."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Do."""
        return self._call("POST", path, body)

    def finish(
        self, job: int, report: Callable[[float, str], None], *, seconds: float = 900.0
    ) -> dict[str, Any]:
        """Wait for a job, telling how far it is.

        Raises:
            ApiError: It failed, was cancelled, or did not end in time.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            state = self.get(f"/api/v1/jobs/{job}/")
            report(state["progress"], state["message"])
            if state["state"] == "succeeded":
                return state
            if state["state"] in {"failed", "cancelled"}:
                raise ApiError(f"{state['title']} {state['state']}: {state['error']}")
            time.sleep(POLL_S)
        raise ApiError(f"Job {job} did not end within {seconds:.0f} s; see the logs.")

    def _call(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own address
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._key}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:1000]
            raise ApiError(f"{method} {path} gave {error.code}: {said}") from None
