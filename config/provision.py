"""What a new installation needs: roles, one person per role, API keys."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction

from experiments.gateway.roles import ROLES
from experiments.gateway.services import create_key
from experiments.metrics.models import Metric
from experiments.metrics.presets import PRESETS
from experiments.metrics.services import ensure_metric

# Role -> app labels whose rows it may add and change; everybody may view.
WRITES: dict[str, tuple[str, ...]] = {
    "viewer": (),
    "analyst": ("metrics",),
    "growth": ("design", "metrics"),
    "engineer": ("models_registry", "events"),
    "administrator": (
        "models_registry",
        "gateway",
        "events",
        "metrics",
        "design",
        "analysis",
        "decisions",
        "auth",
    ),
}
KEYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "publishable": ("publishable", ("evaluate", "events")),
    "secret": ("secret", ("evaluate", "recommend", "events", "catalogue")),
    "manage": ("secret", ("manage",)),
}


def provision_roles() -> None:
    """Make each role's group with its permissions; safe to repeat."""
    own = sorted({label for labels in WRITES.values() for label in labels})
    views = Permission.objects.filter(
        content_type__app_label__in=own, codename__startswith="view_"
    )
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role)
        writes = Permission.objects.filter(
            content_type__app_label__in=WRITES[role]
        ).exclude(codename__startswith="view_")
        group.permissions.set([*views, *writes])


@transaction.atomic
def provision_people() -> dict[str, str]:
    """One person per role with a new random password: role -> password."""
    passwords: dict[str, str] = {}
    for role in ROLES:
        user, _ = User.objects.get_or_create(username=role, defaults={"is_staff": True})
        user.is_staff = True
        user.is_superuser = role == "administrator"
        passwords[role] = secrets.token_urlsafe(12)
        user.set_password(passwords[role])
        user.save()
        user.groups.set([Group.objects.get(name=role)])
    return passwords


def provision_keys(kinds: Mapping[str, tuple[str, tuple[str, ...]]]) -> dict[str, str]:
    """One API key of each kind: name -> key, shown this once."""
    return {
        name: create_key(
            label=f"{name} key of the installation",
            client=f"installation-{name}",
            kind=kind,
            scopes=scopes,
        )[1]
        for name, (kind, scopes) in kinds.items()
    }


def write_credentials(
    path: Path, *, url: str, users: Mapping[str, str], keys: Mapping[str, str]
) -> None:
    """Keep addresses, passwords and keys where only their owner reads (mode 600)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
    ) as file:
        json.dump(
            {"url": url, "users": dict(users), "keys": dict(keys)}, file, indent=2
        )
    draft.replace(path)


@transaction.atomic
def provision(*, credentials: Path, url: str) -> None:
    """Set up people, keys and metrics once; later runs only renew the address."""
    provision_roles()
    for key in PRESETS:
        if not Metric.objects.filter(key=key).exists():
            ensure_metric(key)
    if credentials.exists():
        known = json.loads(credentials.read_text())
        users, keys = known["users"], known["keys"]
    else:
        users, keys = provision_people(), provision_keys(KEYS)
    write_credentials(credentials, url=url, users=users, keys=keys)


def provision_simulation(credentials: Path) -> None:
    """Add the key of the demonstration: it may set the shop's clock."""
    known = json.loads(credentials.read_text())
    known["keys"] |= provision_keys(
        {"simulate": ("secret", ("recommend", "events", "simulate"))}
    )
    write_credentials(credentials, **known)
