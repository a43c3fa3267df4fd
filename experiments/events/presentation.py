"""How the event path shows itself to people."""

import msgspec
import zstandard

SHOWN_CHARACTERS = 4000


def payload_text(payload: bytes) -> str:
    """A stream entry as text: its rows as JSON, or else its bytes in hexadecimal."""
    try:
        size = zstandard.frame_content_size(payload)
        if 0 <= size <= 1_000_000:
            unpacked = msgspec.msgpack.decode(
                zstandard.ZstdDecompressor().decompress(payload)
            )
            text = msgspec.json.format(msgspec.json.encode(unpacked), indent=1)
            return text.decode()[:SHOWN_CHARACTERS]
    except (zstandard.ZstdError, msgspec.MsgspecError, RecursionError, TypeError):
        pass  # shown as bytes
    return payload[: SHOWN_CHARACTERS // 2].hex(" ")
