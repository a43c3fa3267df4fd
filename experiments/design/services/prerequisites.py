"""Refuse prerequisites that could never be answered."""

from collections.abc import Iterable, Mapping

from django.conf import settings
from django.utils.module_loading import import_string

from experiments.design.models import Experiment, Placement, Prerequisite
from models_registry.errors import InvalidError

__all__ = ["check_prerequisites", "circle"]


def circle(needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The first circle among placements that need each other; empty: there is none.

    Args:
        needs: Placement key -> keys of the placements its experiments ask.
    """
    done: set[str] = set()

    def walk(key: str, path: tuple[str, ...]) -> tuple[str, ...]:
        if key in path:
            return (*path[path.index(key) :], key)
        if key in done:
            return ()
        for other in sorted(needs.get(key, ())):
            found = walk(other, (*path, key))
            if found:
                return found
        done.add(key)
        return ()

    for key in sorted(needs):
        found = walk(key, ())
        if found:
            return found
    return ()


def check_prerequisites(
    experiment: Experiment, asked: Iterable[tuple[Placement, object]]
) -> None:
    """Refuse prerequisites of a circle, or with a condition nobody can read.

    Args:
        experiment: Whose they are to be.
        asked: Placements with the condition on their value.

    Raises:
        InvalidError: The circle, or the place of the bad condition.
    """
    asked = tuple(asked)
    for placement, condition in asked:
        problem: str | None = import_string(settings.CONDITION_CHECK)(condition)
        if problem:
            raise InvalidError(f"The prerequisite {placement.key!r}: {problem}")
    needs: dict[str, set[str]] = {}
    rows = Prerequisite.objects.exclude(experiment=experiment)
    for here, there in rows.values_list("experiment__placement__key", "placement__key"):
        needs.setdefault(here, set()).add(there)
    own = needs.setdefault(experiment.placement.key, set())
    own.update(placement.key for placement, _ in asked)
    found = circle(needs)
    if found:
        raise InvalidError(
            f"Placements would need each other in a circle: {' -> '.join(found)}. "
            "Remove one of these prerequisites."
        )
