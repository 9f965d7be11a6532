"""Whoever cannot prove to be the provider is sent nothing: no key, no request, not a byte."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import NOON

from pipeline.capabilities import WAVESPEED
from pipeline.download import Downloader
from pipeline.errors import ExitCode, Unavailable
from pipeline.providers.http import HttpProvider
from pipeline.providers.wavespeed import WaveSpeed

KEY = "canary-key-behind-tls"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
_CA_SETTINGS = """
[ca]
default_ca = here
[here]
database = {folder}/index
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
"""
# Who the certificate is for, from when to when it is good, and whether its maker is trusted.
CERTIFICATES = {
    "wrong host": ("elsewhere.example", "20200101000000Z", "20990101000000Z", True),
    "expired": ("localhost", "20200101000000Z", "20210101000000Z", True),
    "not yet good": ("localhost", "20980101000000Z", "20990101000000Z", True),
    "self-made": ("localhost", "20200101000000Z", "20990101000000Z", False),
}
GOOD = ("localhost", "20200101000000Z", "20990101000000Z", True)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority of our own, and one key for all its certificates."""
    folder = tmp_path_factory.mktemp("authority")
    (folder / "index").touch()
    (folder / "serial").write_text("01\n")
    (folder / "settings").write_text(_CA_SETTINGS.format(folder=folder))
    (folder / "index.attr").write_text("unique_subject = no\n")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509")
    openssl(*new, "-subj", "/CN=ours", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    return folder


def certificate(authority: Path, name: str, terms: tuple[str, str, str, bool]) -> Path:
    """A file with a certificate on these terms and its key."""
    host, begins, ends, _ = terms
    stem = authority / name.replace(" ", "-")
    settings = ("-config", authority / "settings")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    alternative = ("-addext", f"subjectAltName=DNS:{host}")
    files = ("-keyout", stem.with_suffix(".key"), "-out", stem.with_suffix(".csr"))
    openssl("req", *settings, *new, "-subj", f"/CN={host}", *alternative, *files)
    signer = ("-cert", authority / "ca.pem", "-keyfile", authority / "ca.key")
    times = ("-startdate", begins, "-enddate", ends)
    files = ("-in", stem.with_suffix(".csr"), "-out", stem.with_suffix(".pem"))
    openssl("ca", *settings, "-batch", "-notext", *signer, *times, *files)
    both = stem.with_suffix(".both")
    both.write_bytes(stem.with_suffix(".pem").read_bytes() + stem.with_suffix(".key").read_bytes())
    return both


@dataclass
class Impostor:
    """A server on this machine that notes every byte that it could read."""

    port: int
    read: bytearray = field(default_factory=bytearray)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


@contextmanager
def serving(certificate: Path) -> Iterator[Impostor]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = socket.create_server(("127.0.0.1", 0))
    impostor = Impostor(port=listening.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            impostor.connections += 1
            plain.settimeout(5)
            with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as secure:
                impostor.read += secure.recv(65_536)
                secure.sendall(_ANSWER)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield impostor
    finally:
        # Closing alone does not wake a thread that waits in accept.
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def trust(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """Make the authority one of those that every machine trusts."""
    monkeypatch.setattr("certifi.where", lambda: str(authority / "ca.pem"))


@pytest.mark.anyio
@pytest.mark.parametrize("name", CERTIFICATES)
async def test_a_provider_that_is_not_proved_gets_no_byte_of_the_key(
    name: str, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = CERTIFICATES[name]
    if terms[3]:
        trust(monkeypatch, authority)
    with serving(certificate(authority, name, terms)) as impostor:
        async with HttpProvider(WaveSpeed(WAVESPEED), base_url=impostor.url, key=KEY) as api:
            with pytest.raises(Unavailable) as refused:
                await api.history(NOON)
    assert refused.value.exit_code is ExitCode.UNAVAILABLE == 69
    assert impostor.connections
    assert bytes(impostor.read) == b""


@pytest.mark.anyio
async def test_the_one_that_is_proved_gets_it(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the test above would pass with a server that nobody can reach."""
    trust(monkeypatch, authority)
    with serving(certificate(authority, "good", GOOD)) as server:
        async with HttpProvider(WaveSpeed(WAVESPEED), base_url=server.url, key=KEY) as api:
            with suppress(Exception):
                await api.history(NOON)
    assert KEY.encode() in server.read


@pytest.mark.anyio
async def test_a_clip_is_not_fetched_from_a_host_that_is_not_proved(
    authority: Path, tmp_path: Path
) -> None:
    with serving(certificate(authority, "cdn", CERTIFICATES["self-made"])) as impostor:
        downloader = Downloader(
            local=True, api_url="http://127.0.0.1:9", extra_hosts=("localhost",)
        )
        async with downloader:
            with pytest.raises(Unavailable):
                await downloader.fetch(f"{impostor.url}/clip.mp4", tmp_path / "clip.part")
    assert bytes(impostor.read) == b""
