"""Runs as Prometheus metrics: an observer that is also a collector. Needs the extra `chainpump[prometheus]`."""

from __future__ import annotations

from collections.abc import Iterator

from ..messages.extras import install, too_old

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry
except ImportError:
    raise ImportError(install("prometheus", "chainpump.progress.prometheus needs")) from None

from .snapshot import Progress, StageProgress, labels

__all__ = ["Prometheus"]

if too_old("prometheus"):
    raise ImportError(install("prometheus", "chainpump.progress.prometheus needs"))

# Name, help text, and the field of a stage's progress. `_total` is added to the names of counters as they are written.
COUNTED = (
    ("chainpump_items_received", "Items that a stage has received.", "received"),
    ("chainpump_items_sent", "Items that a stage has sent.", "sent"),
    ("chainpump_items_skipped", "Items that a policy left out.", "skipped"),
    ("chainpump_items_dead", "Items that a policy put aside as dead letters.", "dead"),
    ("chainpump_retries", "Calls that a policy had repeated.", "retried"),
    ("chainpump_restarts", "Workers that took the place of one that had died.", "restarts"),
    ("chainpump_recycled", "Workers that were followed by a fresh one.", "recycled"),
    ("chainpump_set_up_seconds", "Time in which factories of workers made their functions.", "set_up"),
)
MEASURED = (
    ("chainpump_items_in_flight", "Items that a stage has received and not finished.", "in_flight"),
    ("chainpump_workers_alive", "Workers of a stage that have started and not ended.", "alive"),
)
STATES = ("busy", "starved", "blocked")


class Prometheus(Collector):
    """Shows a run to Prometheus: `pipeline.run(observe=Prometheus("index"))`.

    pipeline: the value of the label of that name. registry: where its metrics are collected; by default where all are.
    One serves run after run: counters go on. Raises ValueError for a second one in the same registry.
    """

    def __init__(self, pipeline: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._pipeline = pipeline
        self._progress: Progress | None = None
        # Of runs that are over, by metric and stage.
        self._before: dict[tuple[str, str], float] = {}
        registry.register(self)

    def __call__(self, progress: Progress) -> None:
        """Take a snapshot; the last one of a run is added to what comes after it."""
        self._progress = progress
        if progress.is_over:
            ended = {
                (name, stage): getattr(each, field) for name, _, field in COUNTED for stage, each in _labelled(progress)
            }
            self._before = {key: self._before.get(key, 0) + count for key, count in ended.items()}

    def describe(self) -> Iterator[Metric]:
        """Its metrics, without figures."""
        for name, said, _ in COUNTED:
            yield CounterMetricFamily(name, said, labels=("pipeline", "stage"))

    def collect(self) -> Iterator[Metric]:
        """Its metrics, as of the last snapshot."""
        progress = self._progress
        if progress is None:
            return
        for name, said, field in COUNTED:
            counter = CounterMetricFamily(name, said, labels=("pipeline", "stage"))
            for stage, each in _labelled(progress):
                present = 0 if progress.is_over else getattr(each, field)
                counter.add_metric((self._pipeline, stage), self._before.get((name, stage), 0) + present)
            yield counter
        for name, said, field in MEASURED:
            gauge = GaugeMetricFamily(name, said, labels=("pipeline", "stage"))
            for stage, each in _labelled(progress):
                gauge.add_metric((self._pipeline, stage), getattr(each, field))
            yield gauge
        shares = GaugeMetricFamily(
            "chainpump_worker_time_ratio",
            "Share of their time that the workers of a stage were in a state.",
            labels=("pipeline", "stage", "state"),
        )
        for stage, each in _labelled(progress):
            for state in STATES:
                shares.add_metric((self._pipeline, stage, state), getattr(each, state))
        yield shares
        if progress.fraction is not None:
            done = GaugeMetricFamily("chainpump_done_ratio", "Share of the work that is done.", labels=("pipeline",))
            done.add_metric((self._pipeline,), progress.fraction)
            yield done


def _labelled(progress: Progress) -> Iterator[tuple[str, StageProgress]]:
    """Each stage with its label, which no other has: a metric tells of each label once."""
    return zip(labels(progress.stages), progress.stages, strict=True)
