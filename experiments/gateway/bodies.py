"""Reading bodies: decompressed as a stream up to a limit, then decoded (pure)."""

import io
import zlib
from typing import TypeVar

import msgspec
import zstandard

from experiments.gateway.errors import (
    MalformedError,
    TooLargeError,
    UnknownEncodingError,
)

T = TypeVar("T")
MAX_DEPTH = 20  # objects and arrays within each other, the body itself included
# A frame may claim gigabytes of window; 8 MiB is what RFC 8878 asks of decoders.
_ZSTD_WINDOW = 8 * 1024 * 1024


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """A body as it was before its content encoding, at most ``limit`` bytes.

    Raises:
        TooLargeError: It is longer; no more than the limit was ever expanded.
        MalformedError: It is not what its encoding says.
        UnknownEncodingError: The encoding is neither gzip, zstd nor identity.
    """
    encoding = encoding.strip().lower()
    try:
        if encoding in {"", "identity"}:
            decoded = body
        elif encoding in {"gzip", "x-gzip"}:
            decoded = _gunzip(body, limit + 1)
        elif encoding == "zstd":
            decoded = _unzstd(body, limit + 1)
        else:
            raise UnknownEncodingError(
                f"Content-Encoding {encoding[:40]!r} is unknown; use gzip or zstd."
            )
    except (zlib.error, EOFError, zstandard.ZstdError) as error:
        raise MalformedError(
            f"The body is not valid {encoding}: {error}.", code="body_undecodable"
        ) from None
    if len(decoded) > limit:
        raise too_large(limit)
    return decoded


def too_large(limit: int) -> TooLargeError:
    """The refusal of a body over a limit."""
    return TooLargeError(
        f"The body is over {limit} bytes; send less in one request.",
    )


def _gunzip(body: bytes, most: int) -> bytes:
    decoder = zlib.decompressobj(wbits=31)
    decoded = decoder.decompress(body, most)
    if len(decoded) < most and not decoder.eof:
        raise EOFError("it ends too early")
    return decoded


def _unzstd(body: bytes, most: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    with decoder.stream_reader(io.BytesIO(body)) as reader:
        return reader.read(most)


def read_json(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """A JSON body as the type of its decoder.

    Raises:
        MalformedError: It is no JSON (code ``malformed_json``), nested too deeply
            (``nested_too_deep``), or not of the type (``invalid``).
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise refusal_of(error) from None


def check_depth(value: object, most: int = MAX_DEPTH) -> None:
    """Refuse a decoded value whose objects and arrays nest too deeply.

    Raises:
        MalformedError: Code ``nested_too_deep``.
    """
    if _is_deeper(value, most):
        raise MalformedError(
            f"The body is nested deeper than {MAX_DEPTH} levels; flatten it.",
            code="nested_too_deep",
        )


def _is_deeper(value: object, most: int) -> bool:
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list):
        parts = value
    else:
        return False
    if most == 0:
        return True
    return any(
        _is_deeper(part, most - 1) for part in parts if isinstance(part, dict | list)
    )


def refusal_of(error: Exception) -> MalformedError:
    """What a failed decoding tells the caller."""
    if isinstance(error, RecursionError):
        return MalformedError(
            "The body is nested too deeply; flatten it.", code="nested_too_deep"
        )
    if isinstance(error, msgspec.ValidationError):
        return MalformedError(f"{error}.", code="invalid")
    return MalformedError(
        f"The body is not valid JSON: {error}.", code="malformed_json"
    )
