"""What a server says of the bytes it sends, held against the bytes that came.

Decoding cannot find all damage: a flipped bit in the sound, or in the last blocks of a picture,
decodes cleanly. A checksum finds any. The providers document none; what stands behind them is
CDNs and object stores, and these are the headers that such servers send.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# An object store's ETag is the MD5 of what was put in one piece, and looks otherwise for what was
# put in parts: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
_MD5_ETAG = re.compile(r'"([0-9a-f]{32})"', re.IGNORECASE)
# Under any other kind of encryption its ETag is no MD5: as above.
_ENCRYPTION, _PLAIN_MD5 = "x-amz-server-side-encryption", "AES256"
# Header and algorithm: RFC 1864, and
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
_SINGLE = {
    "content-md5": "md5",
    "x-amz-checksum-crc32": "crc32",
    "x-amz-checksum-sha1": "sha1",
    "x-amz-checksum-sha256": "sha256",
}
# Headers with a list of them: RFC 9530, RFC 3230, and
# https://cloud.google.com/storage/docs/xml-api/reference-headers#xgooghash
_LISTS = ("repr-digest", "content-digest", "digest", "x-goog-hash")
_LISTED = {"md5": "md5", "sha": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
_SIZES_BYTES = {"crc32": 4, "md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """One statement of a server; ``is_promise`` false: the header may mean something else."""

    header: str
    algorithm: str
    digest: bytes
    is_promise: bool = True


class Ruler:
    """Takes the bytes as they come and says which statements they contradict."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._stated = tuple(read_checksums(headers))
        names = {stated.algorithm for stated in self._stated} - {"crc32"}
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        self._crc32 = 0

    def update(self, piece: bytes) -> None:
        """The next bytes of the body."""
        for digest in self._hashes.values():
            digest.update(piece)
        if any(stated.algorithm == "crc32" for stated in self._stated):
            self._crc32 = zlib.crc32(piece, self._crc32)

    def agreeing(self) -> tuple[Checksum, ...]:
        """The statements that the whole body bears out."""
        return tuple(one for one in self._stated if one.digest == self.found(one))

    def contradicted(self) -> tuple[Checksum, ...]:
        """The statements that it does not."""
        return tuple(one for one in self._stated if one.digest != self.found(one))

    def found(self, stated: Checksum) -> bytes:
        """What the statement would be for the bytes that came."""
        if stated.algorithm == "crc32":
            return self._crc32.to_bytes(4, "big")
        return self._hashes[stated.algorithm].digest()


def read_checksums(headers: Mapping[str, str]) -> Iterator[Checksum]:
    """Every checksum of the whole body among the headers; what cannot be read is left out.

    Args:
        headers: of an answer 200 without content coding; names in any case.
    """
    known = {name.lower(): value for name, value in headers.items()}
    for header, algorithm in _SINGLE.items():
        if (digest := _decode(known.get(header, ""), algorithm)) is not None:
            yield Checksum(header=header, algorithm=algorithm, digest=digest)
    for header in _LISTS:
        for item in known.get(header, "").split(","):
            name, _, value = item.strip().partition("=")
            listed = _LISTED.get(name.lower())
            if listed and (digest := _decode(value.strip(":"), listed)) is not None:
                yield Checksum(header=header, algorithm=listed, digest=digest)
    etag = _MD5_ETAG.fullmatch(known.get("etag", "").strip())
    if etag and known.get(_ENCRYPTION, _PLAIN_MD5) == _PLAIN_MD5:
        digest = bytes.fromhex(etag[1])
        yield Checksum(header="etag", algorithm="md5", digest=digest, is_promise=False)


def _decode(text: str, algorithm: str) -> bytes | None:
    """The digest; None for what is none, like that of an upload in parts (``...-3``)."""
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == _SIZES_BYTES[algorithm] else None
