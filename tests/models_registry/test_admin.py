import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from models_registry import jobs, services
from models_registry.models import AliasMove, Job, JobState, Version
from models_registry.selectors import live_version
from tests import factories

pytestmark = pytest.mark.django_db

asked: list[bool] = []


def note_publishing() -> None:
    asked.append(True)


@pytest.fixture(autouse=True)
def publisher(settings: LazySettings) -> None:
    settings.PLAN_PUBLISHER = f"{__name__}.note_publishing"
    asked.clear()


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("grace"))
    return client


@pytest.fixture
def pair() -> tuple[Version, Version]:
    return factories.version(1), factories.version(2, kind="item_knn")


def url(name: str, *args: object) -> str:
    return reverse(f"admin:models_registry_{name}", args=args)


def champion_url(version: Version) -> str:
    return url("version_make_champion", version.pk)


def test_a_version_is_made_champion_with_a_reason(
    boss: Client, pair: tuple[Version, Version]
) -> None:
    old, new = pair
    page = boss.get(champion_url(new))
    assert page.status_code == 200
    assert b"popularity v1" in page.content
    boss.post(champion_url(new), {"reason": "won at home/3", "seen": old.pk})
    assert live_version(new.model, "champion") == new
    move = AliasMove.objects.get()
    assert (move.reason, move.from_version) == ("won at home/3", old)
    assert move.moved_by is not None
    assert move.moved_by.username == "grace"
    assert asked == [True]


def test_without_a_reason_nothing_moves(
    boss: Client, pair: tuple[Version, Version]
) -> None:
    old, new = pair
    page = boss.post(champion_url(new), {"reason": " ", "seen": old.pk})
    assert page.status_code == 200
    assert live_version(new.model, "champion") == old
    assert not asked


def test_a_page_older_than_the_last_move_moves_nothing(
    boss: Client, pair: tuple[Version, Version]
) -> None:
    old, new = pair
    third = factories.version(3)
    services.move_alias(new.model, "champion", third, by=None, reason="meanwhile")
    boss.post(champion_url(new), {"reason": "late", "seen": old.pk})
    assert live_version(new.model, "champion") == third


def test_the_champion_cannot_be_made_champion(
    boss: Client, pair: tuple[Version, Version]
) -> None:
    assert boss.get(champion_url(pair[0])).status_code == 403


def test_a_reader_may_look_but_not_move(
    client: Client, pair: tuple[Version, Version]
) -> None:
    client.force_login(User.objects.create_user("viewer", is_staff=True))
    assert client.get(champion_url(pair[1])).status_code == 403
    assert client.post(champion_url(pair[1]), {"reason": "x"}).status_code == 403


def test_versions_and_moves_cannot_be_edited(
    boss: Client, pair: tuple[Version, Version]
) -> None:
    version = pair[0]
    assert boss.get(url("version_change", version.pk)).status_code == 200
    assert boss.post(url("version_change", version.pk), {}).status_code == 403
    assert boss.get(url("version_delete", version.pk)).status_code == 403
    assert boss.get(url("version_add")).status_code == 403
    assert boss.get(url("aliasmove_add")).status_code == 403


@pytest.mark.parametrize("page", ["model", "version", "aliasmove", "job"])
def test_lists_open(boss: Client, pair: tuple[Version, Version], page: str) -> None:
    jobs.create_job("train", "Train", {})
    assert boss.get(url(f"{page}_changelist")).status_code == 200


def test_a_model_shows_its_versions_and_moves(
    boss: Client, pair: tuple[Version, Version]
) -> None:
    services.move_alias(
        pair[1].model, "champion", pair[1], by=None, reason="because-of-this"
    )
    page = boss.get(url("model_change", pair[0].model.pk))
    assert b"because-of-this" in page.content


def test_a_job_shows_its_error_and_never_its_lease(boss: Client) -> None:
    job = jobs.create_job("train", "Train", {})
    Job.objects.filter(pk=job.pk).update(error="no-rows-at-all", lease="secret-lease")
    page = boss.get(url("job_change", job.pk))
    assert b"no-rows-at-all" in page.content
    assert b"secret-lease" not in page.content


def test_chosen_jobs_are_cancelled_from_the_list(boss: Client) -> None:
    waiting = jobs.create_job("train", "Train", {})
    running = Job.objects.create(
        kind="train",
        title="Running",
        state=JobState.RUNNING,
        heartbeat_at=timezone.now(),
    )
    chosen = {"action": "cancel_selected", "_selected_action": [waiting.pk, running.pk]}
    boss.post(url("job_changelist"), chosen)
    waiting.refresh_from_db()
    running.refresh_from_db()
    assert waiting.state == JobState.CANCELLED
    assert running.cancel_requested
