"""An emulated WATS server that owns its lifecycle: a port of its own, a thread, a ready signal, a real end."""

import asyncio
import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from sandbox.wats.admin import create_admin
from sandbox.wats.api import add_errors, create_api
from sandbox.wats.middleware import WatsMiddleware
from sandbox.wats.odata_datetimes import now_utc
from sandbox.wats.pages import create_pages
from sandbox.wats.profiles import DEFAULT, WatsProfile
from sandbox.wats.report_store import DEFAULT_PROCESSES, Process, ReportStore
from sandbox.wats.request_log import RequestBudget, RequestLog
from sandbox.wats.server_settings import RetryAfterForm, ServerSettings
from sandbox.wats.wats_faults import Faults

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0


class WatsServer:
    """WATS on a socket of this machine, running between `start()` and `stop()` or within a `with` block.

    A stopped server refuses connections and, started again, serves the same reports on the same port. `port=0` takes
    a free one. `db_path=None` keeps the reports in memory. `profile` says how it behaves where sources disagree.
    `clock` yields the aware present moment for everything that asks for the time: when reports show, the quarantine,
    the log, the faults and the request budget.
    """

    def __init__(
        self,
        *,
        profile: WatsProfile = DEFAULT,
        user: str = "vte",
        password: str = "vte-sandbox",  # noqa: S107 - a sandbox
        host: str = "127.0.0.1",
        port: int = 0,
        db_path: str | Path | None = None,
        requests_per_minute: int | None = None,
        retry_after_form: RetryAfterForm | str = RetryAfterForm.SECONDS,
        clock: Callable[[], datetime] | None = None,
        processes: Iterable[Process] = DEFAULT_PROCESSES,
        future_tolerance_s: float = 60.0,
        latency_s: float = 0.0,
        max_filter_nodes: int | None = 100,
        log_capacity: int = 50_000,
    ) -> None:
        self._clock = clock or now_utc
        self._skipped = timedelta()
        self.host = host
        self.port = port
        self.token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        self.settings = ServerSettings(
            profile=profile,
            latency_s=latency_s,
            retry_after_form=RetryAfterForm(retry_after_form),
            max_filter_nodes=max_filter_nodes,
        )
        self.store = ReportStore(
            db_path, settings=self.settings, clock=self.now, processes=processes, future_tolerance_s=future_tolerance_s
        )
        self.faults = Faults(self.now)
        self.log = RequestLog(log_capacity)
        self.budget = RequestBudget(requests_per_minute, self.now)
        self._middleware = WatsMiddleware(
            self._create_app(),
            store=self.store,
            settings=self.settings,
            faults=self.faults,
            log=self.log,
            budget=self.budget,
            clock=self.now,
            user=user,
            password=password,
        )
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def _create_app(self) -> FastAPI:
        app = FastAPI(title="WATS sandbox", docs_url=None, redoc_url=None)
        app.include_router(create_api(self.store, self.settings))
        app.include_router(create_admin(self.store, self.settings, self.faults, self.log, self.budget))
        app.include_router(create_pages(self.store, self.log))
        add_errors(app)
        return app

    @property
    def url(self) -> str:
        """Address of the server, without a path."""
        return f"http://{self.host}:{self.port}"

    @property
    def profile(self) -> WatsProfile:
        """How the server behaves where sources disagree; what it holds already stays as it is."""
        return self.settings.profile

    @profile.setter
    def profile(self, value: WatsProfile) -> None:
        self.settings.profile = value

    def now(self) -> datetime:
        """Return the present moment of this server."""
        return self._clock() + self._skipped

    def skip(self, seconds: float) -> None:
        """Let so much time pass for this server alone, at once."""
        self._skipped += timedelta(seconds=seconds)

    def show_all(self) -> None:
        """Let as much time pass as it takes until everything received shows in queries."""
        self.skip(self.profile.shown_after_s)

    @property
    def latency_s(self) -> float:
        """Seconds every request under `/api` waits; requests wait side by side."""
        return self.settings.latency_s

    @latency_s.setter
    def latency_s(self, value: float) -> None:
        self.settings.latency_s = value

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Listen and answer; returns when the server is ready."""
        if self.is_running:
            return
        listener = self.listen()
        server = _Server(self._config(), self._middleware)
        thread = threading.Thread(target=server.run, args=([listener],), name=f"wats-{self.port}", daemon=True)
        thread.start()
        if not server.ready.wait(_START_TIMEOUT_S):
            raise RuntimeError(f"The WATS sandbox did not start on {self.url} within {_START_TIMEOUT_S:.0f} s.")
        self._server, self._thread = server, thread

    def stop(self) -> None:
        """Refuse connections, end those that are open, and return when nothing runs any more."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is None or thread is None:
            return
        server.stop()
        thread.join(_STOP_TIMEOUT_S)
        if thread.is_alive():
            raise RuntimeError(f"The WATS sandbox on {self.url} did not stop within {_STOP_TIMEOUT_S:.0f} s.")

    def reset(self) -> None:
        """Forget reports, faults and requests, as if just created; settings and processes stay."""
        self.store.clear()
        self.faults.clear()
        self.log.clear()
        self.budget.clear()

    def close(self) -> None:
        """Stop for good and release the storage."""
        self.stop()
        self.store.close()

    def run(self) -> None:
        """Serve in this thread until a signal ends the process."""
        listener = self.listen()
        try:
            _Server(self._config(), self._middleware).run([listener])
        finally:
            self.store.close()

    def listen(self) -> socket.socket:
        """Open the listening socket; from then on `port` is a real one."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(2_048)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        return listener

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._middleware,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            access_log=False,
            log_config=None,
            log_level="critical",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(uvicorn.Server):
    """uvicorn that reports when it is ready and ends on request from another thread."""

    def __init__(self, config: uvicorn.Config, middleware: WatsMiddleware) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._middleware = middleware
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._middleware.open()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Tick like uvicorn, but wake at once when asked to stop."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 864_000
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._middleware.stop()
        await super().shutdown(sockets)

    def stop(self) -> None:
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended by itself
                self._loop.call_soon_threadsafe(self._wake.set)
