"""The status page in a real browser, spoken to over its debugging socket."""

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: install chromium"),
]
_PATIENCE_S = 60


class Page:
    """One tab."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    async def call(self, method: str, **params: Any) -> Any:
        """Call one method of the browser."""
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                    self.complaints.append(json.dumps(message["params"]))
                if message.get("id") == number:
                    return message["result"]

    async def run(self, script: str) -> Any:
        """Run a script in the page; give its value."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Poll until a script gives something true."""
        for _ in range(_PATIENCE_S * 10):
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
