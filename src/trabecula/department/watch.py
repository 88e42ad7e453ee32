"""What a machine that watches services asks: does it live, can it work, and how much of everything."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from trabecula import __version__
from trabecula.causes import cause_of
from trabecula.department.ledger import Ledger
from trabecula.errors import wrong_usage

Checks = Callable[[], Mapping[str, bool]]


@dataclass(frozen=True)
class Watched:
    """What is asked for: ``alive`` and ``ready`` by name of the part, and the figures."""

    alive: Checks
    ready: Checks
    registry: CollectorRegistry


def free_mib(folder: Path) -> int:
    """How much room the disk has."""
    return shutil.disk_usage(folder).free // 2**20


def writable(folder: Path) -> bool:
    """Whether this process may write there."""
    return os.access(folder, os.W_OK)


class Figures(Collector):
    """Prometheus metrics, read from the book when they are asked for, so that they outlive a restart."""

    def __init__(self, ledger: Ledger, live: Callable[[], Mapping[str, float]], typical: Callable[[], float | None]):
        self.ledger, self.live, self.typical = ledger, live, typical

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        counts = self.ledger.counts()
        build = GaugeMetricFamily("trabecula_build_info", "Which version runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        for name, kind, what in (
            ("trabecula_node_studies", "study", "Studies by how far they came: receiving, whole, quarantined."),
            ("trabecula_node_deliveries", "take", "Deliveries: planned, queued, answering, settled, ..."),
            ("trabecula_node_answers_waiting", "waiting", "Objects that a destination has not accepted yet."),
        ):
            label = "destination" if kind == "waiting" else "state"
            gauge = GaugeMetricFamily(name, what, labels=[label])
            for (of, state), number in sorted(counts.items()):
                if of == kind:
                    gauge.add_metric([state], number)
            yield gauge
        accepted = CounterMetricFamily(
            "trabecula_node_answers_accepted", "Objects accepted by a destination.", labels=["destination"]
        )
        for (of, name), number in sorted(counts.items()):
            if of == "accepted":
                accepted.add_metric([name], number)
        yield accepted
        for name, value in self.live().items():
            yield GaugeMetricFamily(f"trabecula_node_{name}", name.replace("_", " "), value)
        typical = self.typical()
        if typical is not None:
            yield GaugeMetricFamily("trabecula_screening_seconds_typical", "Median of the last studies.", typical)


def registry_of(figures: Figures) -> CollectorRegistry:
    """The figures, and memory and processor time of the process."""
    made = CollectorRegistry()
    made.register(figures)
    ProcessCollector(registry=made)
    return made


class Watch:
    """/health, /ready and /metrics at an address of their own."""

    def __init__(self, watched: Watched, host: str, port: int) -> None:
        class Answers(_Answers):
            asked = watched

        try:
            self.server = ThreadingHTTPServer((host, port), Answers)
        except OSError as error:
            raise wrong_usage("address-unusable.health", host=host, port=port, cause=cause_of(error)) from error
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, name="watch", daemon=True)

    def start(self) -> int:
        """Answers from now on; returns the port."""
        self.thread.start()
        return int(self.server.server_address[1])

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Answers(BaseHTTPRequestHandler):
    asked: Watched
    timeout = 10
    server_version, sys_version = "trabecula", ""

    def do_GET(self) -> None:
        if self.path == "/health":
            self._checks(self.asked.alive())
        elif self.path == "/ready":
            self._checks(self.asked.ready())
        elif self.path == "/metrics":
            self._send(200, CONTENT_TYPE_LATEST, generate_latest(self.asked.registry))
        else:
            self._send(404, "text/plain", b"There are /health, /ready and /metrics.\n")

    def _checks(self, checks: Mapping[str, bool]) -> None:
        good = all(checks.values())
        told: dict[str, Any] = {"ok": good, "version": __version__, "checks": dict(checks)}
        self._send(200 if good else 503, "application/json", json.dumps(told).encode() + b"\n")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an address is typed by strangers."""
