"""Encrypted payloads: ``base64(iv).base64(AES-128-CBC)`` (pure)."""

import base64
import binascii

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK_BITS = 128


class DecryptionError(ValueError):
    """The text was not encrypted with this key, or is no encrypted text."""


def decrypt(encrypted: str, key: str) -> str:
    """The plain text; PKCS 7 padded, UTF-8.

    Args:
        encrypted: Initialisation vector and cipher text, each base64, with a dot
            between.
        key: 16 bytes, base64.

    Raises:
        DecryptionError: It cannot be decrypted.
    """
    vector, _, body = encrypted.partition(".")
    try:
        algorithm = algorithms.AES128(base64.b64decode(key, validate=True))
        mode = modes.CBC(base64.b64decode(vector, validate=True))
        decryptor = Cipher(algorithm, mode).decryptor()
        unpadder = padding.PKCS7(_BLOCK_BITS).unpadder()
        padded = decryptor.update(base64.b64decode(body, validate=True))
        padded += decryptor.finalize()
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except (ValueError, binascii.Error) as error:
        raise DecryptionError(
            f"The payload cannot be decrypted with this key: {error}"
        ) from None
