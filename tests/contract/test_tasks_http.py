"""A thousand requests at once, some of which fail at first: what `Tasks` is for."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from chainpump import Pipeline, Retry, Tasks, Threads
from support.gate import LIMIT

REQUESTS = 2_500
AT_ONCE = 1_000
# Both ends of a connection are in this process, beside what the tests have.
DESCRIPTORS = 2 * AT_ONCE + 200


class Server:
    """Answers with the number that it was asked for; 503 at first to every tenth. It waits for a thousand at once."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        self.open = self.most = 0
        self._is_full = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        self.asked[number] += 1
        self.open += 1
        self.most = max(self.most, self.open)
        if self.open == AT_ONCE:
            self._is_full.set()
        await self._is_full.wait()
        # As a server that has something to do.
        await asyncio.sleep(0.02)
        self.open -= 1
        if number % 10 == 0 and self.asked[number] == 1:
            raise web.HTTPServiceUnavailable
        return web.Response(text=str(number))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/{number}", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, backlog=AT_ONCE)
            await site.start()
            self.url = "http://{}:{}".format(*runner.addresses[0])
            yield
        finally:
            await runner.cleanup()
            # A connection has closed one turn of the loop after it was told to.
            await asyncio.sleep(0)


@pytest.fixture
def server() -> Iterator[Server]:
    """In an event loop of its own, in another thread."""
    server = Server()
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with server.serving():
            started.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="test server")
    thread.start()
    try:
        assert started.wait(LIMIT)
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many as it takes, as far as the system lets a process have them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft if soft == resource.RLIM_INFINITY else max(soft, DESCRIPTORS)
    if hard != resource.RLIM_INFINITY and enough > hard:
        pytest.skip(f"{AT_ONCE} connections take {DESCRIPTORS} descriptors; this process may have {hard}: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Client:
    """One session for all requests, in the event loop of the stage."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def fetch(self, number: int) -> int:
        if self._session is None:
            self._session = aiohttp.ClientSession(self._url, connector=aiohttp.TCPConnector(limit=0))
            self._keeper = asyncio.create_task(self._close_at_the_end(self._session))
        async with self._session.get(f"/{number}") as response:
            response.raise_for_status()
            return int(await response.text())

    async def _close_at_the_end(self, session: aiohttp.ClientSession) -> None:
        """The event loop cancels what is left as it ends, and awaits its clean-up."""
        try:
            await asyncio.Event().wait()
        finally:
            await session.close()
            # As the server does.
            await asyncio.sleep(0)


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("ordered", [True, False])
def test_a_thousand_requests_at_once_and_those_refused_at_first_come_again(server: Server, ordered: bool) -> None:
    fetch = Client(server.url).fetch
    again = Retry(3, on=aiohttp.ClientResponseError, backoff=0.01)
    numbers = list(Pipeline(range(REQUESTS)).map(fetch, on=Tasks(AT_ONCE), ordered=ordered, on_error=again))
    assert (numbers if ordered else sorted(numbers)) == list(range(REQUESTS))
    assert server.asked == {number: 1 if number % 10 else 2 for number in range(REQUESTS)}
    assert server.most == AT_ONCE


@pytest.mark.usefixtures("descriptors")
def test_requests_under_way_are_given_up_with_the_run(server: Server) -> None:
    fetch = Client(server.url).fetch
    odd = Pipeline(range(1, REQUESTS, 2)).map(fetch, on=Tasks(AT_ONCE))
    # The grace is for a machine on which it takes long to close hundreds of connections.
    with odd.take(5, on=Threads()).open(grace=LIMIT) as run:
        assert list(run) == [1, 3, 5, 7, 9]
