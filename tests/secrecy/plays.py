"""The fault catalogue as plays: each is a fault script, and what else a run of it needs."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from secrecy.hostile import local_addresses
from secrecy.scan import CANARY

from pipeline.sandbox.fault_catalogue import KINDS, Endpoint, When

# The endpoints that the command speaks to; the others are for other clients.
_USED = (
    Endpoint.SUBMIT,
    Endpoint.RESULT,
    Endpoint.HISTORY,
    Endpoint.UPLOAD_TICKET,
    Endpoint.UPLOAD_PUT,
    Endpoint.PRICE,
    Endpoint.BILLINGS,
    Endpoint.DOWNLOAD,
)
# What a fault cannot do without.
_NEEDED: dict[str, dict[str, Any]] = {
    "hang": {"seconds": 2},
    "delay": {"seconds": 0.2},
    "slow_body": {"seconds": 1},
    "refuse": {"seconds": 1},
    "slow": {"seconds": 1},
    "lag": {"seconds": 1},
    "redirect": {"location": "{canary}/steal?key=1"},
    "outputs_url": {"url": "{canary}/clip.mp4"},
    "end_as": {"status": "cancelled"},
    "wrong_price": {"usd": 0.36},
    "kill_client": {"when": "after_accept"},
    "gzip_bomb": {"mb": 16},
    "huge_body": {"bytes": 300_000},
}
# Faults that would last for ever are played once or twice, and healed after that.
_TIMES = {
    "hang": 1,
    "refuse": 1,
    "stuck": 1,
    "slow": 1,
    "endless": 1,
    "gzip_bomb": 1,
    "http_429": 1,
}
_HTTP = ("http_400", "http_401", "http_402", "http_403", "http_404", "http_429", "http_500")
_IN_ERRORS = ("http_400", "http_401", "http_403", "http_500")
_CLIP_CAP_BYTES = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One run of the real command and what goes wrong in it.

    ``key`` how the command is given it: ``env``, ``file`` (with a line end) or the text of the
    variable itself. ``launcher`` options of ``secrecy/launcher.py``; none: the plain command.
    ``fires``: whether the script's first rule must be seen to have played.
    ``provider`` whose client is played to.
    """

    name: str
    rules: tuple[dict[str, Any], ...] = ()
    shots: int = 1
    key: str = "env"
    launcher: tuple[str, ...] = ()
    key_is_good: bool = True
    command: tuple[str, ...] = ("run",)
    settings: dict[str, str] = field(default_factory=dict)
    fires: bool = True
    provider: str = "wavespeed"


def every_play() -> list[Play]:
    """The whole catalogue, fault by fault and endpoint by endpoint, and what is beside it."""
    return [*_catalogue(), *_echoes(), *_keys(), *_crashes(), *_on_runware()]


def _catalogue() -> list[Play]:
    plays = []
    for fault, kind in KINDS.items():
        for endpoint in _USED:
            if endpoint in kind.on:
                plays += _of_fault(fault, endpoint, "accept" in kind.takes)
    for status in _HTTP:
        for endpoint in _USED:
            plays += _of_fault(status, endpoint, accepts=False)
    plays += [
        Play(
            name=f"kill_client on {endpoint}, {when}",
            rules=({"on": endpoint, "fault": "kill_client", "when": when, "times": 1},),
        )
        for endpoint in (Endpoint.SUBMIT, Endpoint.RESULT, Endpoint.DOWNLOAD)
        for when in When
    ]
    return plays


def _of_fault(fault: str, endpoint: Endpoint, accepts: bool) -> list[Play]:
    rule: dict[str, Any] = {"on": str(endpoint), "fault": fault, **_NEEDED.get(fault, {})}
    if fault in _TIMES:
        rule["times"] = _TIMES[fault]
    rules = [rule]
    if endpoint is Endpoint.HISTORY:
        # The history is only asked for where an answer was lost.
        rules.append({"on": "submit", "fault": "drop_after_accept", "nth": 1})
    launcher = ("--clip-cap", str(_CLIP_CAP_BYTES)) if fault == "endless" else ()
    variants = [Play(name=f"{fault} on {endpoint}", rules=tuple(rules), launcher=launcher)]
    if accepts and endpoint is Endpoint.SUBMIT:
        taken = ({**rule, "accept": True}, *rules[1:])
        variants.append(Play(name=f"{fault} on {endpoint}, accepted", rules=taken))
    return variants


def _echoes() -> list[Play]:
    """Servers that repeat the key that they were given, as some do when they refuse it."""
    spellings = {
        "plain": CANARY,
        "as a header": f"Authorization: Bearer {CANARY}",
        "for a URL": quote(CANARY, safe=""),
        "with JSON's slashes": CANARY.replace("/", "\\/"),
        "in base64": base64.b64encode(CANARY.encode()).decode(),
        "in JSON's escapes": "".join(f"\\u{ord(letter):04x}" for letter in CANARY),
        "in HTML's escapes": "".join(f"&#{ord(letter)};" for letter in CANARY),
        "as digits": CANARY.encode().hex(),
        "as basic auth": base64.b64encode(f"api:{CANARY}".encode()).decode(),
    }
    plays = [
        Play(
            name=f"{status} on {endpoint} repeats the key {how}",
            rules=(_echo(endpoint, status, told),),
        )
        for how, told in spellings.items()
        for status in _IN_ERRORS
        for endpoint in ("submit", "result")
    ]
    for how in ("plain", "for a URL", "in base64"):
        told = spellings[how]
        target = quote(told, safe="=%")
        plays += [
            Play(
                name=f"a failed task repeats the key {how}",
                rules=({"on": "result", "fault": "fail_task", "error": f"bad key {told}"},),
            ),
            Play(
                name=f"a clip's address holds the key {how}",
                rules=({"on": "result", "fault": "outputs_url", "url": f"{{cdn}}/x?key={target}"},),
            ),
            Play(
                name=f"a redirect to an address with the key {how}",
                rules=(
                    {"on": "submit", "fault": "redirect", "location": f"{{canary}}/?k={target}"},
                ),
            ),
            Play(
                name=f"a download redirects to an address with the key {how}",
                rules=(
                    {"on": "download", "fault": "redirect", "location": f"{{canary}}/?k={target}"},
                ),
            ),
        ]
    return plays


def _echo(endpoint: str, status: str, told: str) -> dict[str, Any]:
    body = '{"code": 401, "message": "bad key ' + told + '"}'
    return {"on": endpoint, "fault": status, "body": body}


def _keys() -> list[Play]:
    """The ways in which a key can be given, the wrong ones included."""
    odd = {
        "with a line end in it": f"{CANARY}\nX",
        "with a blank in it": f"{CANARY} {CANARY}",
        "with a control character": f"{CANARY}\x1b[31m",
        "with a letter that no key has": f"{CANARY}é",
        "with blanks around it": f"  {CANARY}\t\n",
        "that is a header": f"Bearer {CANARY}",
        "that is very long": CANARY * 400,
        "that is a placeholder": f"your-api-key-{CANARY}",
    }
    return [
        Play(name="the key from a file with a line end", key="file"),
        Play(name="a key that is not known", key_is_good=False, fires=False),
        Play(name="doctor", command=("doctor",), fires=False),
        Play(
            name="doctor of the account",
            command=("doctor", "--provider", "wavespeed"),
            fires=False,
        ),
        Play(name="reconcile", command=("reconcile",), fires=False),
        Play(name="plan", command=("plan",), fires=False),
        Play(name="status", command=("status",), fires=False),
        *(Play(name=f"a key {how}", key=f"text:{text}", fires=False) for how, text in odd.items()),
    ]


def _crashes() -> list[Play]:
    """The program itself fails in mid-run, where it holds the key."""
    places = ("send", "journal", "download", "verify", "header", "settings")
    return [
        Play(name=f"a crash in {place}", launcher=("--crash", place), fires=False)
        for place in places
    ]


def _on_runware() -> list[Play]:
    """The catalogue and the echoes where another client holds the key.

    It asks neither for prices nor for a bill, and uploads within the request.
    """
    plays = [
        play
        for fault, kind in KINDS.items()
        for endpoint in (Endpoint.SUBMIT, Endpoint.RESULT, Endpoint.DOWNLOAD)
        if endpoint in kind.on
        for play in _of_fault(fault, endpoint, "accept" in kind.takes)
    ]
    plays += [_runware_echo(on, code) for on in ("submit", "result") for code in (401, 402, 500)]
    plays += [
        Play(name="the key from a file with a line end", key="file"),
        Play(name="doctor of the account", command=("doctor", "--provider", "runware")),
    ]
    # Not every fault has its place in this dialect, and then nothing is played.
    return [
        replace(play, name=f"runware: {play.name}", provider="runware", fires=False)
        for play in plays
    ]


def _runware_echo(endpoint: str, status: int) -> Play:
    """An error of Runware's shape that repeats the key that it was given."""
    body = (
        '{"data": [], "errors": [{"code": "invalidApiKey", "message": "bad key ' + CANARY + '"}]}'
    )
    rule = {"on": endpoint, "fault": f"http_{status}", "body": body}
    return Play(name=f"{status} on {endpoint} repeats the key", rules=(rule,))


def hostile_urls_play(port: int) -> Play:
    """A provider on this machine that names a port of it in every spelling, one for each shot."""
    urls = local_addresses(port)
    rules = tuple(
        {"on": "result", "fault": "outputs_url", "url": url, "match": f"shot {number}."}
        for number, url in enumerate(urls, start=1)
    )
    return Play(name="hostile addresses", rules=rules, shots=len(urls))


def short_plays() -> list[Play]:
    """One of each sort, for every day."""
    return [
        Play(name="all goes well, the key from a file", key="file"),
        Play(name="the key is refused and repeated", rules=(_echo("submit", "http_401", CANARY),)),
        Play(
            name="a download that leads to the API",
            rules=({"on": "download", "fault": "redirect", "location": "{api}/api/v3/balance"},),
        ),
        Play(
            name="hostile words for one shot, a redirect for the other",
            rules=(
                {"on": "submit", "fault": "ansi_error", "status": 400, "match": "shot 1."},
                {"on": "submit", "fault": "redirect", "location": "{canary}/", "match": "shot 2."},
            ),
            shots=2,
        ),
        Play(
            name="killed after the task was made",
            rules=({"on": "submit", "fault": "kill_client", "when": "after_accept"},),
        ),
        Play(name="a crash while the request is sent", launcher=("--crash", "send"), fires=False),
        Play(name="a header that cannot be sent", launcher=("--crash", "header"), fires=False),
        Play(name="runware, the key from a file", key="file", provider="runware"),
        replace(_runware_echo("submit", 401), name="runware repeats the key", provider="runware"),
        replace(_runware_echo("result", 402), name="a look repeats the key", provider="runware"),
    ]
