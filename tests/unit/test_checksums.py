"""Checksums that servers state: read where they are meant, never where they mean something else."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from pipeline.checksums import Checksum, Ruler, read_checksums

BODY = b"the bytes of a clip" * 100
FLIPPED = bytes([BODY[0] ^ 1]) + BODY[1:]


def coded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


MD5 = hashlib.md5(BODY, usedforsecurity=False).digest()
SHA256 = hashlib.sha256(BODY).digest()
STATEMENTS = [
    {"Content-MD5": coded(MD5)},
    {"Repr-Digest": f"sha-256=:{coded(SHA256)}:"},
    {"Content-Digest": f"sha-512=:{coded(hashlib.sha512(BODY).digest())}:"},
    {"Digest": f"SHA-256={coded(SHA256)}"},
    {"Digest": f"sha={coded(hashlib.sha1(BODY, usedforsecurity=False).digest())}"},
    {"X-Goog-Hash": f"crc32c=AAAAAA==, md5={coded(MD5)}"},
    {"X-Amz-Checksum-Sha256": coded(SHA256)},
    {"x-amz-checksum-crc32": coded(zlib.crc32(BODY).to_bytes(4, "big"))},
    {"ETag": f'"{MD5.hex()}"'},
    {"ETag": f'"{MD5.hex().upper()}"', "x-amz-server-side-encryption": "AES256"},
]
NO_STATEMENTS = [
    {},
    {"ETag": f'"{MD5.hex()}-3"'},
    {"ETag": f'W/"{MD5.hex()}"'},
    {"ETag": '"5f3c-62a1"'},
    {"ETag": f'"{MD5.hex()}"', "x-amz-server-side-encryption": "aws:kms"},
    {"Content-MD5": "not base64 at all"},
    {"Content-MD5": coded(SHA256)},
    {"x-amz-checksum-sha256": f"{coded(SHA256)}-2"},
    {"x-amz-checksum-crc32c": coded(b"1234")},
    {"Digest": "unixsum=30637"},
    {"Repr-Digest": "sha-256=:ü:"},
]


def ruler(headers: dict[str, str], body: bytes) -> Ruler:
    """One that has been given the body, in two pieces."""
    made = Ruler(headers)
    made.update(body[:7])
    made.update(body[7:])
    return made


@pytest.mark.parametrize("headers", STATEMENTS, ids=str)
def test_a_statement_agrees_with_its_bytes_and_contradicts_any_other(
    headers: dict[str, str],
) -> None:
    assert not ruler(headers, BODY).contradicted()
    assert len(ruler(headers, BODY).agreeing()) == 1
    assert len(ruler(headers, FLIPPED).contradicted()) == 1
    assert not ruler(headers, FLIPPED).agreeing()


@pytest.mark.parametrize("headers", NO_STATEMENTS, ids=str)
def test_what_is_no_checksum_of_the_whole_is_not_taken_for_one(headers: dict[str, str]) -> None:
    assert list(read_checksums(headers)) == []


def test_an_etag_is_no_promise() -> None:
    (stated,) = read_checksums({"etag": f'"{MD5.hex()}"'})

    assert stated == Checksum(header="etag", algorithm="md5", digest=MD5, is_promise=False)


def test_every_statement_is_held_against_the_bytes() -> None:
    both = {"Content-MD5": coded(MD5), "x-amz-checksum-sha256": coded(bytes(32))}

    (wrong,) = ruler(both, BODY).contradicted()

    assert wrong.header == "x-amz-checksum-sha256"
