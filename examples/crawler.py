"""A crawler: 200 pages of a server of this machine, at most 100 requests per second, with retries.

    pip install aiohttp
    python examples/crawler.py

    frontier ──paths──> fetch (20 tasks, one session, a rate limit, retries) ──pages──> the loop
       ^                                                                                  │
       └───────────────────────────── links that are new ────────────────────────────────┘

The loop that reads the pages feeds the source. It knows how many pages are on their way, so it knows the end.
"""

from __future__ import annotations

import asyncio
import queue
import re
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aiohttp import ClientResponseError, ClientSession, web

from chainpump import DeadItem, DeadLetter, Pipeline, Retry, Tasks, per_worker

PAGES = 200
BROKEN = 13  # this page fails each time
LINK = re.compile(r'href="(/page/\d+)"')


@dataclass
class Crawl:
    """What has been found."""

    links: dict[str, list[str]] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    duration: float = 0.0


class Limiter:
    """Let so many calls per second begin, and not more."""

    def __init__(self, per_second: float) -> None:
        self._pause, self._next = 1 / per_second, 0.0

    async def turn(self) -> None:
        """Wait for the next moment that is free."""
        now = time.monotonic()
        self._next = max(now, self._next + self._pause)
        await asyncio.sleep(self._next - now)


Fetch = Callable[[str], Awaitable[tuple[str, list[str]]]]


@asynccontextmanager
async def client(site: str, per_second: float) -> AsyncIterator[Fetch]:
    """Make the function that fetches a page; all tasks share its session and its limit."""
    limiter = Limiter(per_second)
    async with ClientSession(site, raise_for_status=True) as session:

        async def fetch(path: str) -> tuple[str, list[str]]:
            await limiter.turn()
            async with session.get(path) as response:
                return path, LINK.findall(await response.text())

        yield fetch


def crawl(site: str, start: str = "/page/0", per_second: float = 100) -> Crawl:
    """Follow all links from a page."""
    began = time.monotonic()
    found = Crawl()
    frontier: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    known = {start}
    on_their_way = 1
    lock = threading.Lock()

    def done() -> None:
        """One page less is on its way; the last one ends the source."""
        nonlocal on_their_way
        with lock:
            on_their_way -= 1
            if on_their_way == 0:
                frontier.put(None)

    def give_up(letter: DeadItem) -> None:
        found.dead.append(letter.item)
        done()

    frontier.put(start)
    patient = Retry(4, on=ClientResponseError, backoff=0.01, otherwise=DeadLetter(ClientResponseError, to=give_up))
    fetch = per_worker(client, site, per_second)
    with (
        Pipeline(iter(frontier.get, None))
        .map(fetch, on=Tasks(20), ordered=False, timeout=30, on_error=patient, name="fetch")
        .open() as pages
    ):
        for path, links in pages:
            found.links[path] = links
            for link in links:
                if link not in known:
                    known.add(link)
                    with lock:
                        on_their_way += 1
                    frontier.put(link)
            done()
    found.duration = time.monotonic() - began
    return found


@contextmanager
def server(pages: int = PAGES) -> Iterator[tuple[str, Counter[str]]]:
    """Serve pages that link to others, on a port of this machine; every third answer is an error at first."""
    requests: Counter[str] = Counter()

    async def page(request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        requests[request.path] += 1
        if number == BROKEN or (number % 3 == 0 and requests[request.path] == 1):
            raise web.HTTPServiceUnavailable
        others = {(2 * number + 1) % pages, (2 * number + 2) % pages, (number + 7) % pages}
        return web.Response(text="".join(f'<a href="/page/{other}">{other}</a>' for other in sorted(others)))

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/page/{number}", page)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address.append(site._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]  # noqa: SLF001  # no public name
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    address: list[int] = []
    ready, stopped = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield f"http://127.0.0.1:{address[0]}", requests
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()


def main() -> None:
    """Run from the command line."""
    with server() as (site, requests):
        found = crawl(site)
    print(f"{len(found.links)} pages in {found.duration:.1f} s, by {requests.total()} requests; given up: {found.dead}")


if __name__ == "__main__":
    main()
