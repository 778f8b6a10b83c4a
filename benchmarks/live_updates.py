"""Browsers that follow what happens: how late each is told of an event, and has it.

    python benchmarks/live_updates.py --clients 50 --cameras 8 --seconds 30

Prints how much of a processor the server took, too, which a busy machine changes less than times.

A server in this process has cameras whose scores change every 0.64 s (16 pictures at 25 a second), and an event every
`--every` seconds. Clients, in a process of their own, listen to `/api/v1/stream`, and ask for each event they are told
of, as pages do. Cameras aren't decoded here: what they take comes on top.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import threading
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from amiss.app._application import create_app
from amiss.app._context import AppContext
from amiss.app._feed import Feed, News
from amiss.app.accounts import Accounts
from amiss.app.jobs import Jobs
from amiss.app.videos import Library
from amiss.watch import CameraEvent
from amiss.watch.camera import CameraStatus
from amiss.watch.config import HttpSettings
from amiss.watch.http import Health, HttpServer, Watched, WatcherView
from amiss.watch.store import Store, open_store

SCORE_S = 0.64


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between events")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/amiss.db", Path(folder) / "spool")
        statuses = [
            CameraStatus(f"camera{i}", "rtsp://***@192.0.2.7/", "", 0.7, 0.5, "") for i in range(options.cameras)
        ]
        watched = Watched(store, Path(folder), Path(folder), lambda: statuses, lambda _: None, Health)
        settings = HttpSettings(port=0, login=False, max_connections=4 * options.clients)
        feed, jobs = Feed(), Jobs(lambda _: None)
        library = Library(Path(folder) / "videos", Path(folder) / "scores", jobs, lambda: (None, None))
        accounts = Accounts(store, lambda *_: None)
        server = HttpServer(
            create_app(AppContext(WatcherView(watched), settings, accounts, feed, jobs, library)), settings
        )
        server.start()
        apart = multiprocessing.get_context("spawn")
        results: Queue[list[tuple[float, float]]] = apart.Queue()
        clients = apart.Process(target=run_clients, args=(server.url, options.clients, options.seconds, results))
        clients.start()
        stop = threading.Event()
        threading.Thread(target=play, args=(store, statuses, feed, options.every, stop), daemon=True).start()
        busy = time.process_time()
        delays = np.array(results.get(timeout=options.seconds + 120))
        busy = time.process_time() - busy
        stop.set()
        clients.join()
        server.stop()
        store.close(1)
    told, had = delays[:, 0], delays[:, 1]
    print(f"{options.clients} clients, {options.cameras} cameras, {len(delays)} events told")
    print(f"the server took {busy:.1f} s of a processor, {1000 * busy / len(delays):.1f} ms for each event and client")
    for name, values in (("told", told), ("had", had)):
        print(
            f"{name}: median {np.median(values):.3f} s, p95 {np.quantile(values, 0.95):.3f} s, max {values.max():.3f} s"
        )


def play(store: Store, statuses: list[CameraStatus], feed: Feed, every_s: float, stop: threading.Event) -> None:
    """Scores and events."""
    number, next_event = 0, time.monotonic() + 3
    while not stop.wait(SCORE_S / len(statuses)):
        status = statuses[number % len(statuses)]
        status.set_score(datetime.now(UTC), number % 100 / 100)
        number += 1
        if time.monotonic() >= next_event:
            next_event += every_s
            event = replace(EVENT, event_id=uuid.uuid4().hex, camera=status.name, started=datetime.now(UTC))
            store.save_event(event)
            feed.publish(News("event", status.name, {"event_id": event.event_id, "at": time.time()}))


EVENT = CameraEvent(
    event_id="", camera="", state="open", started=datetime.now(UTC), ended=None, peak=datetime.now(UTC), peak_score=0.9,
    threshold_on=0.7, threshold_off=0.5, detector="d", detector_sha256="ab" * 32, feature_spec="f", trace=((0.0, 0.9),),
)  # fmt: skip


def run_clients(url: str, n_clients: int, seconds: float, results: Queue[list[tuple[float, float]]]) -> None:
    """All clients; puts (seconds until told, seconds until it was had) of every event."""

    async def one(delays: list[tuple[float, float]], until: float) -> None:
        async with (
            httpx.AsyncClient(base_url=url, timeout=30) as client,
            client.stream("GET", "/api/v1/stream") as news,
        ):
            kind = ""
            async for line in news.aiter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: ") and kind == "event":
                    told = time.time()
                    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                    while (await client.get(f"/api/v1/events/{event['event_id']}")).status_code == 404:
                        await asyncio.sleep(0.02)
                    delays.append((told - event["at"], time.time() - event["at"]))
                if time.monotonic() > until:
                    return

    async def every() -> list[tuple[float, float]]:
        delays: list[tuple[float, float]] = []
        await asyncio.gather(*(one(delays, time.monotonic() + seconds) for _ in range(n_clients)))
        return delays

    results.put(asyncio.run(every()))


if __name__ == "__main__":
    main()
