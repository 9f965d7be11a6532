"""Only public https URLs are taken as reference URLs; file names are left alone."""

from __future__ import annotations

import pytest

from pipeline.references import NAME, is_url, url_mistake


@pytest.mark.parametrize(
    "source",
    ["a.png", "concat:a.png", "C:/a.png", "a:b", "frame%03d.png", "-x.png", "pipe:0", "h ttps://x"],
)
def test_a_file_name_is_no_url(source: str) -> None:
    assert not is_url(source)


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.com/a.png",
        "HTTPS://CDN.EXAMPLE.COM/a.png",
        "https://cdn.example.com:8443/a%20b.png?sig=%2F&x=[1]#f",
        "https://8.8.8.8/a.png",
        "https://[2606:4700::1111]/a.png",
        "https://xn--mnchen-3ya.de/a.png",
        "https://example.com./a.png",
        "https://example.com/@user/a.png",
    ],
)
def test_a_public_https_url_is_fine(url: str) -> None:
    assert is_url(url)
    assert url_mistake(url) is None


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://example.com/a.png", "https URLs only"),
        ("file:///etc/passwd", "https URLs only"),
        ("ftp://example.com/a.png", "https URLs only"),
        ("data:image/png;base64,AA", "https URLs only"),
        ("javascript:alert(1)", "https URLs only"),
        ("gopher://example.com/", "https URLs only"),
        ("https:example.com", "https URLs only"),
        ("https://user:pass@example.com/a.png", "user name or password"),
        ("https://user@example.com/a.png", "user name or password"),
        ("https:///a.png", "no valid host"),
        ("https://example.com:0/a.png", "no valid host and port"),
        ("https://example.com:70000/a.png", "no valid host and port"),
        ("https://example.com:x/a.png", "no valid host and port"),
        ("https://[::1/a.png", "no valid host and port"),
        ("https://exa mple.com/a.png", "blank"),
        ("https://example.com/a\n.png", "control"),
        ("https://exämple.com/a.png", "non-ASCII"),
        ("https://example.com/" + "a" * 2000, "at most 2,000"),
        *(
            (f"https://{host}/a.png", "public https URLs only")
            for host in (
                "localhost",
                "intranet",
                "printer.local",
                "db.internal",
                "127.0.0.1",
                "10.1.2.3",
                "172.16.0.1",
                "192.168.1.1",
                "169.254.169.254",
                "100.64.0.1",
                "0.0.0.1",
                "[::1]",
                "[fe80::1]",
                "[fc00::1]",
                "[::ffff:10.0.0.1]",
                "127.1",
                "2130706433",
                "0x7f000001",
                "0x7f.0.0.1",
                "017700000001",
                "a.1",
                "-bad.example.com",
                "a..b",
            )
        ),
    ],
)
def test_any_other_url_is_refused_with_a_cure(url: str, word: str) -> None:
    assert is_url(url) or word == "https URLs only"
    mistake = url_mistake(url)
    assert mistake is not None
    message, hint = mistake
    assert word in message
    assert hint


def test_a_password_in_a_url_is_not_repeated() -> None:
    mistake = url_mistake("https://me:hunter2@example.com/a.png")
    assert mistake is not None
    assert "hunter2" not in "".join(mistake)


@pytest.mark.parametrize("name", ["a", "0", "A_b-9", "x" * 64])
def test_a_name_is_letters_digits_and_dashes(name: str) -> None:
    assert NAME.match(name)


@pytest.mark.parametrize("name", ["", "-a", "_a", ".a", "a b", "a/b", "x" * 65, "a\n", "ä", "а"])
def test_anything_else_is_no_name(name: str) -> None:
    assert not NAME.match(name)
