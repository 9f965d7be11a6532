"""A key that a server repeats is masked however it is spelled, and nothing else is."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from pipeline.masking import build_mask

KEY = "wsk/Canary+7f3d9b1e5a/Q4=="


@pytest.mark.parametrize(
    "spelling",
    [
        KEY,
        f"Authorization: Bearer {KEY}, again {KEY}",
        quote(KEY, safe=""),
        quote(KEY),
        quote_plus(KEY).lower(),
        json.dumps(KEY).replace("/", "\\/"),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(f"api:{KEY}".encode()).decode(),
        base64.urlsafe_b64encode(f":{KEY}:".encode()).decode(),
        KEY.encode().hex(),
        "".join(f"%{ord(letter):02X}" for letter in KEY),
        "".join(f"&#{ord(letter)};" for letter in KEY),
        "".join(f"\\u{ord(letter):04X}" for letter in KEY),
        "".join(f"\\\\u{ord(letter):04x}" for letter in base64.b64encode(KEY.encode()).decode()),
        f"{KEY[:5]}\\u{ord(KEY[5]):04x}{KEY[6:]}",
    ],
)
def test_a_key_is_masked_in_every_spelling(spelling: str) -> None:
    told = build_mask(KEY)(f"bad key <{spelling}> given")
    assert told.startswith("bad key <")
    assert told.endswith("> given")
    assert "***" in told
    for middle in (KEY[4:14], base64.b64encode(KEY.encode()).decode()[4:16]):
        assert middle.lower() not in told.lower()


def test_a_key_in_escapes_is_gone_when_they_are_decoded() -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    told = build_mask(KEY)(f'{{"message": "bad key \\\\ {escaped}\\n"}}')
    assert json.loads(told) == {"message": "bad key \\ ***\n"}


def test_words_without_the_key_stay_as_they_are() -> None:
    words = '{"code": 200, "data": {"id": "4b1d0c7ea2f94f0c9d2e5a6b7c8d9e0f"}}'
    assert build_mask(KEY)(words) == words


def test_the_key_of_the_sandbox_is_no_secret() -> None:
    assert build_mask("sandbox")("the sandbox says no") == "the sandbox says no"
