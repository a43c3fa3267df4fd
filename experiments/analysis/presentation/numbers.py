"""How numbers, intervals, money and moments are written on every page.

Separators follow the active locale; a change always shows its sign, with a true minus.
"""

from datetime import datetime

from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.formats import number_format

MINUS = "\u2212"
NO_BREAK = "\u00a0"
NONE = "\u2013"
SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥"}
MOST_DIGITS = 4


def count(number: int) -> str:
    """A count in full: ``140,531``."""
    return number_format(f"{number:d}", force_grouping=True).replace("-", MINUS)


def decimal(number: float, digits: int) -> str:
    """A number with a fixed count of decimals, rounded, in the locale's form."""
    text = f"{number:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return number_format(text, decimal_pos=digits, force_grouping=True).replace(
        "-", MINUS
    )


def signed(number: float, digits: int, unit: str = "", prefix: str = "") -> str:
    """A change: its sign always; digits are added until a side shows."""
    while digits < MOST_DIGITS and number != 0 and round(number, digits) == 0:
        digits += 1
    rounded = round(number, digits)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
    return f"{sign}{prefix}{decimal(abs(rounded), digits)}{unit}"


def change(relative: float | None) -> str:
    """A relative change: 0.028 is ``+2.8%``; none is a dash."""
    return NONE if relative is None else signed(relative * 100, 1, "%")


def interval(lower: float | None, upper: float | None) -> str:
    """The interval of a relative change: ``+1.2% to +4.4%``, never ±."""
    if lower is None and upper is None:
        return "no bounds yet"
    if lower is None:
        return f"below {change(upper)}"
    if upper is None:
        return f"above {change(lower)}"
    return f"{change(lower)} to {change(upper)}"


def percent(part: float, digits: int = 1) -> str:
    """A share of a whole: 0.333 is ``33.3%``."""
    return f"{decimal(part * 100, digits)}%"


def rate(part: float) -> str:
    """A rate: two decimals below 10%, else one."""
    return percent(part, 2 if abs(part) < 0.1 else 1)


def size_of(relative: float) -> str:
    """A change without its sign, for sentences: ``13%``, ``2.8%``."""
    size = abs(relative) * 100
    digits = 0 if size >= 10 else 1
    while digits < MOST_DIGITS and size > 0 and round(size, digits) == 0:
        digits += 1
    return f"{decimal(size, digits)}%"


def is_currency(unit: str) -> bool:
    """Whether a metric's unit is an ISO 4217 code, such as ``GBP``."""
    return len(unit) == 3 and unit.isascii() and unit.isupper()


def symbol(currency: str) -> str:
    """What stands before an amount: ``£``, or the code and a space."""
    return SYMBOLS.get(currency, f"{currency}{NO_BREAK}")


def value(number: float | None, unit: str) -> str:
    """A metric's value for one shopper, in its unit."""
    if number is None:
        return NONE
    if unit == "share":
        return rate(number)
    if is_currency(unit):
        sign = MINUS if round(number, 2) < 0 else ""
        return f"{sign}{symbol(unit)}{decimal(abs(number), 2)}"
    if unit in {"count", ""}:
        return decimal(number, 4 if abs(number) < 1 else 2)
    return f"{decimal(number, 1)}{NO_BREAK}{unit}"


def absolute(number: float | None, unit: str) -> str:
    """A change on the metric's own scale; shares change by points, not by %."""
    if number is None:
        return NONE
    if unit == "share":
        return signed(number * 100, 2, " points")
    if is_currency(unit):
        return signed(number, 2, prefix=symbol(unit))
    if unit in {"count", ""}:
        return signed(number, 4)
    return signed(number, 1, f"{NO_BREAK}{unit}")


def absolute_interval(lower: float | None, upper: float | None, unit: str) -> str:
    """The interval of a change on the metric's own scale."""
    if lower is None or upper is None:
        return "no bounds yet"
    low, high = absolute(lower, unit), absolute(upper, unit)
    return f"{low.removesuffix(' points')} to {high}"


def p_value(probability: float | None) -> str:
    """``< 0.001``, then two digits; never 0.000, never stars."""
    if probability is None:
        return ""
    if probability < 0.001:
        return f"< {decimal(0.001, 3)}"
    if probability > 0.995:
        return "1"
    digits = 4 if probability < 0.00995 else 3 if probability < 0.0995 else 2
    return decimal(probability, digits)


def p_equals(probability: float | None) -> str:
    """``p = 0.012`` or ``p < 0.001``, on one line."""
    text = p_value(probability)
    joined = text if text.startswith("<") else f"= {text}"
    return f"p {joined}".replace(" ", NO_BREAK) if text else ""


def score(number: float | None) -> str:
    """An offline score (NDCG, recall): four decimals."""
    return NONE if number is None else decimal(number, 4)


def money_thousands(amount: float, currency: str) -> str:
    """Money in a verdict: rounded to the thousand, with its sign."""
    return signed(round(amount, -3), 0, prefix=symbol(currency))


def size(number: int) -> str:
    """A size in bytes: ``3.6 MB``."""
    amount = float(number)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{decimal(amount, 0 if unit == 'bytes' else 1)}{NO_BREAK}{unit}"
        amount /= 1000
    return f"{decimal(amount, 1)}{NO_BREAK}GB"


def plural(number: int, noun: str, many: str = "") -> str:
    """``1 day``, ``2 days``."""
    return f"{count(number)} {noun if number == 1 else many or noun + 's'}"


def duration(seconds: float) -> str:
    """A stretch of time in its largest fitting unit: ``40 seconds``, ``5 min``."""
    if seconds < 90:
        return plural(max(1, round(seconds)), "second")
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 36 * 3600:
        return plural(round(seconds / 3600), "hour")
    return plural(round(seconds / 86400), "day")


def moment(when: datetime | str | None) -> str:
    """A moment: ``16 Nov 2026, 06:10``; accepts ISO 8601 text."""
    return _dated(when, "j M Y, H:i")


def day(when: datetime | str | None) -> str:
    """A day: ``16 Nov 2026``; accepts ISO 8601 text."""
    return _dated(when, "j M Y")


def span(start: datetime | str | None, end: datetime | str | None) -> str:
    """``26 Oct to 15 Nov 2026``."""
    first, last = _dated(start, "j M Y"), _dated(end, "j M Y")
    if first[-4:] == last[-4:]:
        first = first[:-5]
    return f"{first} to {last}"


def ago(when: datetime, now: datetime) -> str:
    """Relative time, only under an hour; else the moment itself."""
    seconds = (now - when).total_seconds()
    if 0 <= seconds < 60:
        return "less than a minute ago"
    if 0 <= seconds < 3600:
        return f"{round(seconds / 60)} min ago"
    return moment(when)


def _dated(when: datetime | str | None, pattern: str) -> str:
    if when is None or when == "":
        return NONE
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    if timezone.is_naive(when):
        when = timezone.make_aware(when, timezone.get_default_timezone())
    return format_date(timezone.localtime(when), pattern)
