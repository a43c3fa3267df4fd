"""Word that something live changed, for whoever serves it.

Which function takes the word is the wiring's affair (``settings.PLAN_PUBLISHER``, a
dotted name), so that what changes need not know what follows.
"""

from django.conf import settings
from django.utils.module_loading import import_string


def live_changed() -> None:
    """Tell that keys, aliases, experiments or stock changed in this transaction."""
    import_string(settings.PLAN_PUBLISHER)()
