"""The status page in a real browser, spoken to over its debugging socket."""

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest
import websockets

from sigmax.schemas.base import NAMESPACE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: install chromium"),
]
_PATIENCE_S = 60
A_DAY_AGO = "password_set_at = password_set_at - interval '1 day'"
T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class RefusedError(Exception):
    """The browser did not do what it was asked: a script, say, whose page gave way to the next one."""


class Page:
    """One tab."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    async def call(self, method: str, **params: Any) -> Any:
        """Call one method of the browser; `RefusedError` when it does not do it."""
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                    self.complaints.append(json.dumps(message["params"]))
                if message.get("id") == number:
                    if "error" in message:
                        raise RefusedError(f"{method}: {message['error']}")
                    return message["result"]

    async def run(self, script: str) -> Any:
        """Run a script in the page; give its value."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Poll until a script gives something true."""
        for _ in range(_PATIENCE_S * 10):
            with suppress(RefusedError):
                if await self.run(script):
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(f"never true: {script}; the page shows {await self.run('document.body.innerText')}")

    async def screenshot(self, file: Path) -> None:
        """Save what the page looks like."""
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser(url: str) -> AsyncIterator[Page]:
    """Open a page in a browser with a profile of its own."""
    profile = Path(tempfile.mkdtemp(prefix="sigmax-browser-"))
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--remote-debugging-port=0", "--window-size=1400,1000", f"--user-data-dir={profile}", url,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await _debugging_port(profile)
        async with websockets.connect(await _tab(port, url), proxy=None, max_size=None) as socket:
            page = Page(socket)
            for domain in ("Log", "Runtime", "Page"):
                await page.call(f"{domain}.enable")
            yield page
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(profile, ignore_errors=True)


async def _debugging_port(profile: Path) -> str:
    for _ in range(_PATIENCE_S * 10):
        file = profile / "DevToolsActivePort"
        if file.exists() and (lines := file.read_text().splitlines()):
            return lines[0]
        await asyncio.sleep(0.1)
    raise AssertionError("the browser did not start")


async def _tab(port: str, url: str) -> str:
    import httpx2

    async with httpx2.AsyncClient(trust_env=False) as client:
        for _ in range(_PATIENCE_S * 10):
            for tab in (await client.get(f"http://127.0.0.1:{port}/json")).json():
                if tab["type"] == "page" and tab["url"].startswith(url):
                    return str(tab["webSocketDebuggerUrl"])
            await asyncio.sleep(0.1)
    raise AssertionError("the page did not open")


async def sign_in(page: Page, login: str, password: str) -> None:
    """Fill the form in, as a person does."""
    await page.until("!document.getElementById('signed-out').hidden")
    await page.run(
        "(() => { const form = document.querySelector('form#login');"
        f" form.elements.login.value = {json.dumps(login)}; form.elements.password.value = {json.dumps(password)};"
        " form.requestSubmit(); })()"
    )
    await page.until(f"document.getElementById('who').innerText.startsWith({json.dumps(login)})")


async def press(page: Page, text: str, within: str = "body") -> None:
    """Press the button that says so, once it is there."""
    button = f"[...document.querySelectorAll({json.dumps(within + ' button')})].find((b) => b.innerText === {json.dumps(text)})"
    await page.until(f"Boolean({button})")
    await page.run(f"{button}.click()")


async def choose_password(page: Page, old: str, new: str) -> None:
    """Choose a password, as a person does who was given one."""
    await press(page, "Choose a password", "#own-password")
    await page.run(
        "(() => { const fields = document.getElementById('password-form').elements;"
        f" fields.old.value = {json.dumps(old)}; fields.chosen.value = fields.again.value = {json.dumps(new)};"
        " document.getElementById('password-form').requestSubmit(); })()"
    )
    await page.until("!document.getElementById('password-dialog').open")


async def seed_risk(live: Any) -> None:
    """Put a halted platform with a guarded position in."""
    account = {"account_id": "paper"}
    await live.insert(
        "risk_gate.stages", scope="global", scope_id="global", stage="halted", version=2, reason="a drill",
        changed_by="admin", changed_at=T0,
    )  # fmt: skip
    await live.insert(
        "risk_gate.limits", **account, version=3, values={"order_notional_max": "10000", "posture": "guerrilla"},
        changed_by="admin, joon",
    )  # fmt: skip
    await live.insert(
        "risk_gate.postures", **account, posture="defensive", is_manual=False, cause="forced",
        reason="3 stop-losses in a row", changed_by="risk-gate", changed_at=T0,
    )  # fmt: skip
    protection = uuid5(NAMESPACE, "protection")
    await live.insert(
        "risk_gate.protections", **account, protection_id=protection, strategy_id="ema", strategy_version=3,
        instrument_id="BTC/USDT@binance", quantity=Decimal("0.298"), entry_price=Decimal(100), stop_price=Decimal(98),
        target_price=Decimal(103), best_price=Decimal(102), trailing_pct=Decimal(1), opened_at=T0, state="open",
        version=1, attempts=0, escalation=0, resting_attempts=1, resting_refusals=0, is_naked_told=False, exit_pnl=Decimal(0), refusal="",
    )  # fmt: skip
    await live.insert(
        "risk_gate.exit_orders", client_order_id="rest1", protection_id=protection, kind="stop_loss", is_resting=True,
        trigger_price=Decimal("97.9"), created_at=T0,
    )  # fmt: skip
    await live.insert(
        "risk_gate.venue_health", **account, venue="paper", is_answering=True, clock_gap_ms=Decimal(12),
        orders_unknown=0, orders_unclear=0, as_of=datetime.now(UTC) + timedelta(minutes=1),
    )  # fmt: skip
    await live.insert(
        "risk_gate.latches", **account, scope="strategy", scope_id="ema", code="order_count_exceeded",
        reason="1000 orders of one run", latched_at=T0,
    )  # fmt: skip
    await live.insert(
        "risk_gate.flattenings", flattening_id=uuid5(NAMESPACE, "flattening"), scope="account", scope_id="paper",
        requested_by="joon", reason="leaving", everything=False, started_at=T0, ended_at=T0, is_flat=False,
        remaining=[{"instrument_id": "BTC/USDT@binance", "quantity": "0.298", "reason": "the market is closed"}],
    )  # fmt: skip


async def test_two_people_lift_a_halt_on_the_page_each_with_a_login_of_their_own(live: Any, tmp_path: Path) -> None:
    await live.seed_chain()
    await seed_risk(live)
    async with browser(live.process.url) as page:
        await page.until("document.readyState === 'complete' && typeof WORDS === 'object'")
        assert await page.run("Object.keys(WORDS.en).sort().join() === Object.keys(WORDS.ko).sort().join()")
        await page.run("window.confirm = () => true; window.prompt = () => 'looked at'; language = 'en'; speak()")
        await sign_in(page, "admin", live.password)
        for shown in ("100.98", "97.9", "3 stop-losses in a row", "v3, admin, joon", "the market is closed", "answers"):
            await page.until(f"document.body.innerText.includes({json.dumps(shown)})")
        await page.screenshot(tmp_path / "risk-halted-en.png")

        await press(page, "One step up: reducing", "#stages")
        await page.until("document.getElementById('approvals').innerText.includes('Take back')")
        await page.until("!document.getElementById('second-login').hidden")
        await page.screenshot(tmp_path / "risk-waits-en.png")

        await live.user("admin", "joon")
        admin = await live.signed_in()
        joon = next(user for user in (await admin.get("/api/v1/users")).json() if user["login"] == "joon")
        made = (await admin.post(f"/api/v1/users/{joon['user_id']}/password")).json()["password"]
        await page.until("document.getElementById('second-login').innerText.includes('joon, from')")
        await press(page, "Sign out", "nav")
        await sign_in(page, "joon", made)
        await page.until("document.getElementById('own-password').innerText.includes('choose one that only you know')")
        await press(page, "Approve", "#approvals")
        await page.until("document.getElementById('notice').innerText.includes('do not count as two people')")
        await choose_password(page, made, "a boat upon the quiet river")
        await page.until("document.getElementById('own-password').innerText.includes('counts as another person')")
        await live.rows(f"UPDATE api_gateway.users SET {A_DAY_AGO} WHERE login = 'joon'")
        await page.until("document.getElementById('second-login').hidden")
        await page.run("document.getElementById('language').click()")
        await page.until("document.getElementById('approvals').innerText.includes('단계 축소')")
        await page.screenshot(tmp_path / "risk-approve-ko.png")
        await press(page, "승인", "#approvals")
        await page.until("!document.getElementById('approvals').innerText.includes('단계 축소')")
        (decided,) = await live.rows("SELECT outcome, decided_by FROM api_gateway.approvals")
        assert tuple(decided) == ("approved", "joon")

        await press(page, "전량 청산", "#stages")
        flattened = "SELECT requested_by FROM api_gateway.commands WHERE command = 'flatten'"
        for _ in range(100):
            if found := await live.rows(flattened):
                break
            await asyncio.sleep(0.1)
        assert [row["requested_by"] for row in found] == ["joon"]
        await press(page, "해제", "#latches")
        await page.until("document.getElementById('approvals').innerText.includes('looked at')")
        assert not [text for text in page.complaints if "Content Security Policy" in text or "exceptionThrown" in text]


async def test_what_could_not_be_read_at_first_is_on_the_page_all_the_same(live: Any) -> None:
    await live.seed_chain()
    await seed_risk(live)
    async with browser(live.process.url) as page:
        await page.until("document.readyState === 'complete' && typeof WORDS === 'object'")
        await page.run(
            "(() => { const reach = window.fetch, failed = new Set(); window.fetch = (url, request) => {"
            " if (!/risk[/](stages|postures|limits)$/.test(url) || failed.has(url)) return reach(url, request);"
            " failed.add(url); return Promise.reject(new TypeError('away')); }; })()"
        )
        await sign_in(page, "admin", live.password)
        for shown in ("a drill", "3 stop-losses in a row", "v3, admin, joon"):
            await page.until(f"document.body.innerText.includes({json.dumps(shown)})")


async def test_a_person_signs_in_sees_the_account_and_stays_signed_in_over_a_reload(live: Any, tmp_path: Path) -> None:
    await live.seed_chain()
    async with browser(live.process.url) as page:
        await page.until("!document.getElementById('signed-out').hidden")
        await page.run(
            "(() => { const form = document.querySelector('form#login');"
            f" form.elements.login.value = 'admin'; form.elements.password.value = {json.dumps(live.password)};"
            " form.requestSubmit(); })()"
        )
        await page.until("document.body.innerText.includes('970')")
        await page.until("document.getElementById('health').innerText.includes('live')")
        await page.call("Page.reload")
        await page.until("document.body.innerText.includes('970')")
        await page.screenshot(tmp_path / "page-en.png")
        await page.run("document.querySelector('#fills button').click()")
        await page.until("document.getElementById('why').innerText.includes('fast crossed slow')")
        await page.screenshot(tmp_path / "why.png")
        await page.run("document.getElementById('why-close').click(); document.getElementById('language').click()")
        await page.until("document.body.innerText.includes('평가 자산')")
        await page.screenshot(tmp_path / "page-ko.png")
        assert not [text for text in page.complaints if "Content Security Policy" in text or "exceptionThrown" in text]
        await page.run("document.getElementById('logout').click()")
        await page.until("!document.getElementById('signed-out').hidden")
        await page.call("Page.reload")
        await page.until("!document.getElementById('signed-out').hidden")
