"""What a new installation needs: roles, one person per role, API keys."""

import json
import os
import secrets
from pathlib import Path

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction

from experiments.gateway.roles import ROLES
from experiments.gateway.services import create_key

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
    provision_roles()
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


def provision_keys(*, simulate: bool = False) -> dict[str, str]:
    """One API key of each kind: kind -> key, shown this once."""
    wanted = dict(KEYS)
    if simulate:
        wanted["simulate"] = (
            "secret",
            ("evaluate", "recommend", "events", "catalogue", "manage", "simulate"),
        )
    return {
        name: create_key(
            label=f"{name} key of the installation",
            client=f"installation-{name}",
            kind=kind,
            scopes=scopes,
        )[1]
        for name, (kind, scopes) in wanted.items()
    }


def write_credentials(
    path: Path, *, url: str, users: dict[str, str], keys: dict[str, str]
) -> None:
    """Keep addresses, passwords and keys where only their owner reads (mode 600)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
    ) as f:
        json.dump({"url": url, "users": users, "keys": keys}, f, indent=2)
    draft.replace(path)


def provision(path: Path, *, url: str, simulate: bool = False) -> Path:
    """Set up a new installation's people and keys, and write their credentials.

    Does nothing when the file exists: passwords and keys are kept.
    """
    if not path.exists():
        write_credentials(
            path,
            url=url,
            users=provision_people(),
            keys=provision_keys(simulate=simulate),
        )
    return path
