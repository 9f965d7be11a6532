"""The files port: upload tickets, the PUT, and no key ever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import httpx
import pytest
from sandbox_support import PNG, Customer, FakeClock, sandbox


def _put(
    customer: Customer, ticket: dict[str, dict[str, object]], **changes: str
) -> httpx.Response:
    headers = {"Content-Type": "image/png", "If-None-Match": "*"}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return customer.cdn.put(str(ticket["upload"]["url"]), content=PNG, headers=headers)


def test_ticket_has_the_shape_the_clients_need() -> None:
    with sandbox() as customer:
        ticket = customer.ticket()
        url = ticket["download_url"]
    assert url.startswith(f"{customer.server.files_url}/uploads/")
    assert url.endswith("/hero.png")
    assert ticket == {
        "type": "image",
        "filename": "hero.png",
        "size": len(PNG),
        "download_url": url,
        "upload": {
            "method": "PUT",
            "url": ticket["upload"]["url"],
            "headers": {"Content-Type": "image/png", "If-None-Match": "*"},
            "expires_at": "2026-04-10T09:15:30.123456789Z",
        },
    }


def test_upload_comes_back_as_it_went() -> None:
    with sandbox() as customer:
        ticket = customer.ticket()
        missing = customer.cdn.get(ticket["download_url"])
        put = _put(customer, ticket)
        back = customer.cdn.get(ticket["download_url"])
    assert missing.status_code == 404
    assert put.status_code == 200
    assert (back.content, back.headers["content-type"]) == (PNG, "image/png")


def test_each_ticket_has_an_address_of_its_own() -> None:
    with sandbox() as customer:
        assert customer.upload() != customer.upload()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"filename": "a.png"}, 400),
        ({"filename": "", "size": 4}, 400),
        ({"filename": 1, "size": 4}, 400),
        ({"filename": "a.png", "size": 0}, 400),
        ({"filename": "a.png", "size": "4"}, 400),
        ({"filename": "a.png", "size": True}, 400),
        ({"filename": "a.png", "size": 4, "content_type": 1}, 400),
        ({"filename": "a.png", "size": 200 * 1024 * 1024 + 1}, 413),
    ],
)
def test_ticket_request_that_makes_no_sense_is_refused(body: object, status: int) -> None:
    with sandbox() as customer:
        assert customer.post("/media/uploads", body).status_code == status


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "a b/ü\n%2e%2e.png", "C:\\x\\y.png", "?#"]
)
def test_file_name_from_outside_stays_a_plain_name(name: str) -> None:
    with sandbox() as customer:
        url = customer.upload(filename=name)
        assert customer.cdn.get(url).status_code == 200
    assert url.count("/") == 5
    assert ".." not in url


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Content_Type": "image/jpeg"}, 403),
        ({"If_None_Match": "abc"}, 403),
        ({"Authorization": "Bearer any-key"}, 400),
    ],
)
def test_put_with_other_headers_is_refused(changes: dict[str, str], status: int) -> None:
    with sandbox() as customer:
        ticket = customer.ticket()
        assert _put(customer, ticket, **changes).status_code == status
        assert customer.cdn.get(ticket["download_url"]).status_code == 404
        assert _put(customer, ticket).status_code == 200


def test_put_of_another_size_is_refused() -> None:
    with sandbox() as customer:
        ticket = customer.ticket(PNG + b"more")
        assert _put(customer, ticket).status_code == 400
        assert customer.cdn.get(ticket["download_url"]).status_code == 404


def test_put_without_a_length_is_refused() -> None:
    def pieces() -> Iterator[bytes]:
        yield PNG

    with sandbox() as customer:
        ticket = customer.ticket()
        answer = customer.cdn.put(
            ticket["upload"]["url"], content=pieces(), headers=ticket["upload"]["headers"]
        )
    assert answer.status_code == 411


def test_second_put_finds_the_object_there() -> None:
    with sandbox() as customer:
        ticket = customer.ticket()
        assert [_put(customer, ticket).status_code for _ in range(3)] == [200, 412, 412]


def test_ticket_ends_with_its_time() -> None:
    clock = FakeClock()
    with sandbox(clock=clock, ticket_life_s=60.0) as customer:
        used, late = customer.ticket(), customer.ticket()
        clock.forward(59.999)
        assert _put(customer, used).status_code == 200
        clock.forward(0.001)
        assert _put(customer, late).status_code == 403
        assert customer.cdn.get(used["download_url"]).status_code == 200


def test_put_needs_the_signature_of_the_ticket() -> None:
    with sandbox() as customer:
        ticket = customer.ticket()
        for url in (ticket["download_url"], ticket["download_url"] + "?sig=x"):
            answer = customer.cdn.put(url, content=PNG, headers=ticket["upload"]["headers"])
            assert answer.status_code == 403


def test_a_clip_comes_with_its_length_and_its_md5_as_an_object_store_sends_them() -> None:
    with sandbox() as customer:
        (clip,) = customer.result(customer.buy())["outputs"]
        answer = customer.cdn.get(clip)
    md5 = hashlib.md5(answer.content, usedforsecurity=False).hexdigest()
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["etag"] == f'"{md5}"'


def test_key_sent_to_the_files_port_is_refused_and_recorded() -> None:
    with sandbox() as customer:
        (clip,) = customer.result(customer.buy())["outputs"]
        upload = customer.upload()
        leak = {"Authorization": "Bearer any-key"}
        statuses = [customer.cdn.get(url, headers=leak).status_code for url in (clip, upload)]
        record = customer.record()
    assert statuses == [400, 400]
    assert [entry["kind"] for entry in record["violations"]] == ["key_leak"] * 2
    assert "any-key" not in str(record)


def test_api_is_not_served_on_the_files_port() -> None:
    with sandbox() as customer:
        assert customer.cdn.get(f"{customer.server.files_url}/api/v3/balance").status_code == 404
        assert customer.http.get("/uploads/a/b").status_code == 404


def test_form_upload_keeps_every_byte() -> None:
    data = PNG + b"\r\n--x\r\n\r\n\n\r" + bytes(range(256))
    with sandbox() as customer:
        form = {"file": ("hero shot.png", data, "image/png")}
        answer = customer.http.post(
            "/api/v3/media/upload/binary", files=form, data={"note": "one\r\ntwo"}
        )
        upload = customer.data(answer)
        back = customer.cdn.get(upload["download_url"])
        task_id = customer.buy(images=[upload["download_url"]])
        assert customer.result(task_id)["status"] == "completed"
    assert back.content == data
    assert {name: upload[name] for name in ("type", "filename", "size")} == {
        "type": "image",
        "filename": "hero-shot.png",
        "size": len(data),
    }


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="x"'),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="x"; filename="a"\r\n\r\n1\r\n--b--\r\n',
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--b--',
        ),
        ("multipart/form-data", b"--b--"),
        ("application/json", b"{}"),
        ("", b""),
    ],
)
def test_form_without_a_file_in_it_is_refused(content_type: str, body: bytes) -> None:
    with sandbox() as customer:
        answer = customer.http.post(
            "/api/v3/media/upload/binary", content=body, headers={"Content-Type": content_type}
        )
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message"}
