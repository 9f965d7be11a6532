"""A picture that the manifest itself holds: opened like a file where the provider takes it, and
never shown."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.images import open_inline
from pipeline.library import ImageRefused
from pipeline.manifest import Checked, read_manifest
from pipeline.model import FileReference
from pipeline.providers.http import _read_unchanged
from pipeline.references import inline_bytes, inline_label, is_address, is_inline, is_url

Picture = Callable[..., bytes]
Manifest = Callable[..., str]
BOARD = "storyboard: s\nprovider: {}\nreferences: {{pack: '{}'}}\nshots:\n{}"
SHOT = "  - {id: one, images: [pack], prompt: '@image1 turns'}\n"


def uri_of(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


@pytest.mark.parametrize("uri", ["data:image/png;base64,AA", "DATA:,x", "Data:text/html,<b>"])
def test_data_uri_is_no_address_and_no_file(uri: str) -> None:
    assert is_inline(uri)
    assert is_url(uri)
    assert not is_address(uri)


@pytest.mark.parametrize("source", ["data.png", "refs/data:x.png", "https://a.example/data:,x"])
def test_anything_else_is_not_inline(source: str) -> None:
    assert not is_inline(source)


def test_label_says_type_and_length_and_nothing_of_the_picture() -> None:
    assert inline_label("data:image/png;base64," + "QUJD" * 1000) == (
        "data:image/png;base64,… (4,022 characters)"
    )
    assert inline_label("data:" + "x" * 500) == "data:… (505 characters)"
    assert len(inline_label("data:" + "\x1b" * 500 + ",AA")) < 80


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        ("data:image/png;base64,QUJD", b"ABC"),
        ("data:;base64,QUJD", b"ABC"),
        ("DATA:image/png;BASE64,QU\n  JD", b"ABC"),
        ("data:image/png,ABC", None),
        ("data:image/png;base64,QUJ", None),
        ("data:image/png;base64,QU*D", None),
        ("data:image/png;base64,", None),
        ("data:image/png;base64", None),
        ("data:;base64,\u00e4\u00f6", None),
    ],
)
def test_only_whole_base64_has_bytes(uri: str, data: bytes | None) -> None:
    assert inline_bytes(uri) == data


def test_inline_picture_is_measured_by_its_bytes_and_carries_them(picture: Picture) -> None:
    data = picture("JPEG", (64, 36))
    found = open_inline(uri_of(data), Path("m.yaml"), 8_000_000)
    assert isinstance(found, FileReference)
    assert (found.media_type, found.width_px, found.height_px) == ("image/jpeg", 64, 36)
    assert found.content_key == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert _read_unchanged(found) == data
    assert b64encode(data).decode()[:40] not in repr(found)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("data:image/png;base64,???", "not whole base64"),
        (uri_of(b"<html>"), "found: web page"),
        (uri_of(b"\x89PNG\r\n\x1a\n"), "damaged"),
        (uri_of(bytes(2000)), "over the upload limit"),
    ],
)
def test_inline_picture_that_is_none_is_refused_in_words(uri: str, words: str) -> None:
    found = open_inline(uri, Path("m.yaml"), 1999)
    assert isinstance(found, ImageRefused)
    assert words in found.message
    assert len(found.message) < 200


def board(provider: str, uri: str) -> str:
    return BOARD.format(provider, uri, SHOT)


def image_of(checked: Checked) -> FileReference:
    assert checked.storyboard is not None, checked.problems
    image = checked.storyboard.shots[0].images[0]
    assert isinstance(image, FileReference)
    return image


def test_runware_takes_a_picture_inside_the_manifest(manifest: Manifest, picture: Picture) -> None:
    data = picture("PNG", (64, 36))
    image = image_of(read_manifest(manifest(board("runware", uri_of(data)))))
    assert (image.inline, image.source) == (data, inline_label(uri_of(data)))


def test_same_picture_in_a_file_is_the_same_shot(
    manifest: Manifest, picture: Picture, tmp_path: Path
) -> None:
    """Moving it from the manifest to a file buys nothing."""
    inside = image_of(read_manifest(manifest(board("runware", uri_of(picture())))))
    beside = image_of(read_manifest(manifest(board("runware", "a.png"))))
    assert inside.content_key == beside.content_key


@pytest.mark.parametrize("provider", ["wavespeed", "sandbox"])
def test_wavespeed_takes_none_and_says_why(
    provider: str, manifest: Manifest, picture: Picture
) -> None:
    uri = uri_of(picture("PNG", (400, 300), (1, 2, 3)))
    (problem,) = read_manifest(manifest(board(provider, uri))).problems
    assert f"{provider} takes files and https URLs only" in problem.message
    assert uri[30:70] not in str(problem)


def test_clip_to_edit_is_never_inline(manifest: Manifest) -> None:
    uri = "data:video/mp4;base64," + "QUJD" * 100
    shot = f"  - {{id: one, video: '{uri}', prompt: blue}}\n"
    (problem,) = read_manifest(
        manifest(f"storyboard: s\nprovider: runware\nshots:\n{shot}")
    ).problems
    assert "is no address" in problem.message
    assert "QUJDQUJDQUJDQUJDQUJD" not in str(problem)


def test_inline_picture_of_another_format_is_converted_on_request(
    manifest: Manifest, picture: Picture, tmp_path: Path
) -> None:
    file = manifest(board("runware", uri_of(picture("GIF", (64, 36)), "image/gif")))
    (problem,) = read_manifest(file).problems
    assert "--convert-images" in problem.hint
    checked = read_manifest(file, convert_images=True, converted=tmp_path / "kept")
    image = image_of(checked)
    assert (image.media_type, image.inline) == ("image/png", None)
    assert _read_unchanged(image).startswith(b"\x89PNG")
    (note,) = checked.notes
    assert note.startswith("data:image/gif;base64,… (")
