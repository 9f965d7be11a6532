"""Reference images are opened safely, decoded in full, and refused in words."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import ExitCode
from pipeline.images import locate, open_image
from pipeline.library import ImageRefused
from pipeline.model import FileReference

LIMIT = 20_000_000
Picture = Callable[..., bytes]


def opened(path: Path, limit: int = LIMIT) -> FileReference | ImageRefused:
    return open_image(path, path.name, limit)


def refused(path: Path, limit: int = LIMIT) -> ImageRefused:
    outcome = opened(path, limit)
    assert isinstance(outcome, ImageRefused)
    assert outcome.hint
    return outcome


def refused_in_time(path: Path) -> str:
    """The message, from a thread: a test that hangs tells nobody why."""
    outcome: list[ImageRefused] = []
    worker = threading.Thread(target=lambda: outcome.append(refused(path)), daemon=True)
    worker.start()
    worker.join(timeout=5)
    assert outcome, "it hangs"
    return outcome[0].message


def noise(kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    pixels = random.Random(7).randbytes(64 * 36 * 3)
    Image.frombytes("RGB", (64, 36), pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def png_header(width_px: int, height_px: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


@pytest.mark.parametrize(
    ("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_a_good_image_is_measured_and_hashed(
    kind: str, media_type: str, tmp_path: Path, picture: Picture
) -> None:
    data = picture(kind, (64, 36))
    path = tmp_path / "wrong-ending.gif"
    path.write_bytes(data)
    assert opened(path) == FileReference(
        source=path.name,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        media_type=media_type,
        width_px=64,
        height_px=36,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "WEBP", "lossless": True},
        {"kind": "JPEG", "progressive": True},
        {"kind": "JPEG", "exif": b"Exif\0\0" + b"\xff\xd9" * 20},
        {"kind": "PNG", "compress_level": 0},
    ],
)
def test_unusual_but_whole_images_are_fine(options: dict[str, object], tmp_path: Path) -> None:
    kind = str(options.pop("kind"))
    path = tmp_path / "x"
    path.write_bytes(noise(kind, **options))
    assert isinstance(opened(path), FileReference)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "I;16", "CMYK"])
def test_every_pixel_format_is_fine(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    Image.new(mode, (8, 8)).save(path, "JPEG" if mode == "CMYK" else "PNG")
    assert isinstance(opened(path), FileReference)


def test_a_webp_with_an_extended_header_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "x"
    frames = [Image.new("RGBA", (30, 20), (shade, 0, 0, 90)) for shade in (0, 200)]
    frames[0].save(path, "WEBP", save_all=True, append_images=frames[1:])
    assert b"VP8X" in path.read_bytes()[:20]
    outcome = opened(path)
    assert isinstance(outcome, FileReference)
    assert (outcome.width_px, outcome.height_px) == (30, 20)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"\x89", "unknown data"),
        (b"just words\n", "text"),
        ("Wörter ".encode() * 400, "text"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "SVG"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"GIF89a\1\0\1\0", "GIF"),
        (b"BM\0\0\0\0", "BMP"),
        (b"II*\0\0\0\0\0", "TIFF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
        (b"PK\x03\x04aaaa", "ZIP archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer, not the file itself"),
        (bytes(range(256)), "unknown data"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    message = refused(path).message
    assert message == f'"picture.png" is not a PNG, JPEG or WebP (found: {found})'


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_cut_anywhere_is_damaged(kind: str, tmp_path: Path) -> None:
    data = noise(kind)
    path = tmp_path / "x"
    for length in (12, 30, 60, len(data) // 2, len(data) - 40, len(data) - 2):
        path.write_bytes(data[:length])
        assert "is damaged" in refused(path).message, length


def test_a_jpeg_whose_end_was_never_written_is_damaged(tmp_path: Path) -> None:
    data = noise("JPEG")
    path = tmp_path / "x"
    for length in (len(data) // 2, len(data) - 2):
        path.write_bytes(data[:length] + bytes(len(data)))
        assert "the file ends too early" in refused(path).message


def test_a_second_header_of_any_size_is_never_decoded(tmp_path: Path) -> None:
    data = noise("PNG")
    path = tmp_path / "x"
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    path.write_bytes(data[:33] + second + data[33:])
    assert "it has two sizes" in refused(path).message


def test_any_flipped_bit_of_a_png_is_found(tmp_path: Path) -> None:
    data = noise("PNG")
    path = tmp_path / "x"
    for at in range(8, len(data), 97):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        refused(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_random_damage_never_raises_or_warns(kind: str, tmp_path: Path) -> None:
    data = noise(kind, **({"quality": 30} if kind != "PNG" else {}))
    path = tmp_path / "x"
    chance = random.Random(11)
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        path.write_bytes(broken)
        assert opened(path)


@pytest.mark.parametrize("size", [(30_000, 30_000), (50_001, 1000), (2**31 - 1, 2**31 - 1)])
def test_a_huge_header_is_refused_before_any_pixel(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(png_header(*size))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = refused(path).message
    assert f"{size[0] * size[1] / 1e6:.0f} megapixels; at most 50" in message


@pytest.mark.parametrize("size", [(0, 5), (10_000, 5_000)])
def test_a_header_without_its_pixels_is_damaged(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(png_header(*size))
    assert "is damaged" in refused(path).message


def test_a_file_over_the_limit_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(201_000_000)
    assert refused(path).message == '"x" has 201.0 MB; over the upload limit of 20 MB'


def test_a_file_of_exactly_the_limit_is_taken(tmp_path: Path, picture: Picture) -> None:
    path = tmp_path / "x"
    path.write_bytes(picture())
    size_bytes = path.stat().st_size
    assert isinstance(opened(path, size_bytes), FileReference)
    assert "over the upload limit" in refused(path, size_bytes - 1).message


def test_a_missing_file_names_both_paths_and_its_exit_code(tmp_path: Path) -> None:
    outcome = open_image(tmp_path / "refs/gone.png", "refs/gone.png", LIMIT)
    assert isinstance(outcome, ImageRefused)
    assert outcome.exit_code is ExitCode.FILE_MISSING
    assert '"refs/gone.png"' in outcome.message
    assert str(tmp_path / "refs/gone.png") in outcome.message


def test_a_folder_is_not_a_plain_file(tmp_path: Path) -> None:
    assert "is a folder, not a plain file" in refused(tmp_path).message


def test_a_fifo_is_refused_without_being_opened(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert refused_in_time(path) == '"pipe" is a named pipe, not a plain file'


def test_a_fifo_that_replaces_the_file_at_the_last_moment_does_not_hang(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(picture())
    real_open = os.open

    def swap_and_open(name: Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return real_open(name, flags)

    monkeypatch.setattr("pipeline.images.os.open", swap_and_open)
    assert "is a named pipe" in refused_in_time(path)


def test_a_socket_and_a_device_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert "is a socket" in refused(tmp_path / "s").message
    assert "is a device" in refused(Path("/dev/null")).message


def test_an_unreadable_file_is_permission_denied(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(picture())

    def deny(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    # A mode of 0000 does not stop root, who runs many CI containers.
    monkeypatch.setattr("pipeline.images.os.open", deny)
    outcome = refused(path)
    assert "permission denied" in outcome.message
    assert outcome.exit_code is ExitCode.FILE_MISSING


@pytest.mark.parametrize("source", ["../x.png", "/etc/passwd", "a/../../x.png", "..", "~/../.."])
def test_a_path_outside_the_folder_is_refused(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    outcome = locate(source, folder)
    assert isinstance(outcome, ImageRefused)
    assert "is outside the project folder" in outcome.message
    assert "--allow-outside" in outcome.hint
    assert isinstance(locate(source, folder, allow_outside=True), Path)


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (folder / "real.png").write_bytes(b"x")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "in.png").symlink_to("real.png")
    (folder / "up").symlink_to(tmp_path)
    for source in ("out.png", "up/secret.png"):
        outcome = locate(source, folder)
        assert isinstance(outcome, ImageRefused)
        assert "leads by a link outside" in outcome.message
    assert locate("in.png", folder) == folder / "real.png"
    assert locate("out.png", folder, allow_outside=True) == tmp_path / "secret.png"


def test_a_project_behind_a_link_is_still_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert locate("x.png", tmp_path / "link") == tmp_path / "real/x.png"


def test_a_name_with_nul_or_a_link_to_itself_is_refused_in_words(tmp_path: Path) -> None:
    assert isinstance(locate("a\0b", tmp_path), ImageRefused)
    (tmp_path / "loop").symlink_to("loop")
    path = locate("loop", tmp_path)
    outcome = open_image(path, "loop", LIMIT) if isinstance(path, Path) else path
    assert isinstance(outcome, ImageRefused)


@pytest.mark.parametrize(
    "name",
    [
        "two words.png",
        "it's.png",
        'say "hi".png',
        "line\nend.png",
        "frame%03d.png",
        "concat:a.png",
        "-dash.png",
        "🎬.png",
        "x" * 251 + ".png",
        "\udcff.png",
    ],
)
def test_any_file_name_works(name: str, tmp_path: Path, picture: Picture) -> None:
    (tmp_path / name).write_bytes(picture())
    path = locate(name, tmp_path)
    assert isinstance(path, Path)
    assert isinstance(open_image(path, name, LIMIT), FileReference)


def test_a_name_too_long_for_the_system_is_refused_in_words(tmp_path: Path) -> None:
    path = locate("x" * 300, tmp_path)
    outcome = open_image(path, "x" * 300, LIMIT) if isinstance(path, Path) else path
    assert isinstance(outcome, ImageRefused)
    assert "file name too long" in outcome.message
    assert len(outcome.message) < 400
