"""A message to a URL that a person named: patience, its limits, and nowhere else."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from scanner.net.http import webhook
from scanner.net.http.webhook import WebhookError, deliver, read_hook
from tests.helpers import pki
from tests.helpers.http import Answer, Asked, Server, ok, redirect, serving

BODY = b'{"text":"tlsweep: 1 new failures"}'
BUSY = ok(b"", status="503 Service Unavailable")
SECRET = "T0P-S3CRET"


def in_turn(*answers: bytes) -> Callable[[trio.abc.Stream, Asked], Any]:
    """One answer after the other, the last one for ever; the empty one hangs up."""
    left = list(answers)

    async def answer(stream: trio.abc.Stream, asked: Asked) -> None:
        await stream.send_all(left.pop(0) if len(left) > 1 else left[0])

    return answer


def post(
    *answers: bytes, path: str = "/hook", more: Mapping[str, Answer] | None = None
) -> tuple[int | WebhookError, Server, float]:
    """What came of it, what the receiver saw, and the seconds that it took by a clock that does not wait."""

    async def run() -> tuple[int | WebhookError, Server, float]:
        async with serving({"/hook": in_turn(*answers), **(more or {})}) as server:
            hook = read_hook(f"http://127.0.0.1:{server.port}{path}")
            began = trio.current_time()
            try:
                return await deliver(hook, BODY, jitter=Random(1)), server, trio.current_time() - began
            except WebhookError as error:
                return error, server, trio.current_time() - began

    return trio.run(run, clock=MockClock(autojump_threshold=0.05))


def test_the_message_arrives_as_it_was() -> None:
    result, server, _ = post(ok(b"thanks"), path="/hook?token=x")
    assert result == 1
    (asked,) = server.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/hook?token=x", BODY)
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert "authorization" not in asked.headers


@pytest.mark.parametrize("status", ["503 Service Unavailable", "500 Oops", "429 Too Many Requests", "408 Timeout"])
def test_a_receiver_that_is_busy_twice_gets_it_in_the_third_try(status: str) -> None:
    result, server, seconds = post(ok(b"", status=status), b"", ok(b"", status="202 Accepted"))
    assert result == 3
    assert [asked.body for asked in server.asked] == [BODY] * 3
    assert 1 <= seconds <= 5


def test_nobody_waits_for_ever() -> None:
    result, server, seconds = post(BUSY)
    assert "in 6 tries: HTTP status 503" in str(result)
    assert len(server.asked) == webhook.TRIES
    assert seconds < 60


def test_a_pause_that_is_asked_for_is_kept_within_reason() -> None:
    assert 20 <= post(ok(b"", "Retry-After: 20", status="429 Slow"), ok(b""))[2] <= 25
    assert post(ok(b"", "Retry-After: 999999999999", status="503 Slow"), ok(b""))[2] <= webhook.MAX_PAUSE + 5
    assert post(ok(b"", "Retry-After: soon", status="503 Slow"), ok(b""))[0] == 2
    result, _, seconds = post(ok(b"", "Retry-After: 60", status="503 Slow"))
    assert "within 180 s" in str(result)
    assert seconds <= webhook.ALL_SECONDS + 1


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "404 Not Found", "410 Gone"])
def test_refused_message_is_not_sent_again(status: str) -> None:
    result, server, _ = post(ok(b"", status=status))
    assert f"HTTP status {status[:3]}" in str(result)
    assert len(server.asked) == 1


def test_silence_ends_in_time() -> None:
    async def silent(stream: trio.abc.Stream, asked: Asked) -> None:
        await trio.sleep_forever()

    result, _, seconds = post(b"", path="/silent", more={"/silent": silent})
    assert "no answer within 15 s" in str(result)
    assert seconds <= webhook.ALL_SECONDS + 1


def test_answer_that_is_not_http_is_tried_again() -> None:
    assert "in 6 tries" in str(post(b"220 mail.example ESMTP\r\n")[0])


def test_closed_port_is_tried_six_times() -> None:
    async def run() -> None:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]
        await listener.aclose()
        with pytest.raises(
            WebhookError, match=f"http://127.0.0.1:{port} did not take the message in 6 tries"
        ) as raised:
            await deliver(read_hook(f"http://127.0.0.1:{port}/{SECRET}"), BODY)
        assert SECRET not in str(raised.value)

    trio.run(run, clock=MockClock(autojump_threshold=0.05))


@pytest.mark.parametrize("status", ["307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_within_the_host_is_followed(status: str) -> None:
    result, server, _ = post(redirect("/other", status), more={"/other": ok(b"")})
    assert result == 1
    assert [(asked.method, asked.target, asked.body) for asked in server.asked] == [
        ("POST", "/hook", BODY), ("POST", "/other", BODY),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (f"http://elsewhere.example/{SECRET}", "it redirects to http://elsewhere.example, which is not followed"),
        (f"http://127.0.0.1/{SECRET}", "which is not followed"),
        (f"https://127.0.0.1:443/{SECRET}", "which is not followed"),
        ("file:///etc/passwd", "no URL"),
        ("http://[", "no URL"),
        ("/hook", "more than 3 redirects"),
    ],
)
def test_no_redirect_leads_elsewhere(target: str, reason: str) -> None:
    result, server, _ = post(redirect(target, "307 Temporary Redirect"))
    assert reason in str(result)
    assert SECRET not in str(result)
    assert {asked.target for asked in server.asked} == {"/hook"}


def test_a_redirect_that_makes_a_question_of_it_is_a_refusal() -> None:
    result, server, _ = post(redirect("/other", "302 Found"))
    assert "HTTP status 302" in str(result)
    assert len(server.asked) == 1


def test_a_password_is_sent_and_never_shown() -> None:
    hook = read_hook(f"https://bot:{SECRET}%40@hooks.example:8443/{SECRET}?{SECRET}")
    assert hook.authorization == b"Basic Ym90OlQwUC1TM0NSRVRA"
    assert hook.shown == "https://hooks.example:8443"
    assert SECRET not in repr(hook)


@pytest.mark.parametrize(
    "text",
    ["", "hooks.example", "ftp://hooks.example/", "https://", f"https://a@b@/{SECRET}", f"http://h:99999/{SECRET}"],
)
def test_invalid_webhook_urls_are_refused(text: str) -> None:
    with pytest.raises(WebhookError, match="cannot be used") as raised:
        read_hook(text)
    assert SECRET not in str(raised.value)


def test_an_https_receiver_must_be_trusted(tmp_path: Path) -> None:
    root = pki.root()
    issued = pki.certificate(
        "127.0.0.1", issuer=root, san=[b"\x87\x04\x7f\x00\x00\x01"], not_after=pki.NOW + 2000 * pki.DAY
    )
    (tmp_path / "server.pem").write_text(issued.key_pem + issued.pem)
    serves = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serves.load_cert_chain(tmp_path / "server.pem")

    async def run(context: ssl.SSLContext | None) -> int:
        async with serving({"/hook": ok(b"")}, tls=serves) as server:
            hook = read_hook(f"https://127.0.0.1:{server.port}/hook")
            if context is not None:
                return await deliver(hook, BODY, context=context)
            with pytest.raises(WebhookError, match="its certificate is not trusted: unable to get local issuer"):
                await deliver(hook, BODY)
            return 0

    assert trio.run(run, ssl.create_default_context(cadata=root.pem)) == 1
    assert trio.run(run, None) == 0
