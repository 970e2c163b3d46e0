"""Runs as OpenTelemetry metrics and spans: an observer. Needs the extra `chainpump[otel]`, and the program's SDK."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ..messages.extras import install, too_old

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Meter, Observation
    from opentelemetry.trace import Tracer, set_span_in_context
    from opentelemetry.util.types import AttributeValue
except ImportError:
    raise ImportError(install("otel", "chainpump.progress.otel needs")) from None

from .snapshot import SECOND, Progress, labels

__all__ = ["OpenTelemetry"]

if too_old("otel"):
    raise ImportError(install("otel", "chainpump.progress.otel needs"))

NAME = "chainpump"
# Name, unit, description, and the field of a stage's progress.
COUNTED = (
    ("chainpump.items.received", "{item}", "Items that a stage has received.", "received"),
    ("chainpump.items.sent", "{item}", "Items that a stage has sent.", "sent"),
    ("chainpump.items.skipped", "{item}", "Items that a policy left out.", "skipped"),
    ("chainpump.items.dead", "{item}", "Items that a policy put aside as dead letters.", "dead"),
    ("chainpump.retries", "{call}", "Calls that a policy had repeated.", "retried"),
    ("chainpump.restarts", "{worker}", "Workers that took the place of one that had died.", "restarts"),
    (
        "chainpump.recycled",
        "{worker}",
        "Workers that were followed by a fresh one.",
        "recycled",
    ),
    ("chainpump.set_up", "s", "Time in which factories of workers made their functions.", "set_up"),
)
MEASURED = (
    ("chainpump.items.in_flight", "{item}", "Items that a stage has received and not finished.", "in_flight"),
    ("chainpump.workers.alive", "{worker}", "Workers of a stage that have started and not ended.", "alive"),
    ("chainpump.workers.busy", "1", "Share of their time that workers were in their own code.", "busy"),
    ("chainpump.workers.starved", "1", "Share of their time that workers waited for items.", "starved"),
    ("chainpump.workers.blocked", "1", "Share of their time that workers waited to send.", "blocked"),
)
# Of a stage, on its span.
FIGURES = ("received", "sent", "busy", "starved", "blocked", "set_up")


class OpenTelemetry:
    """Shows one run to OpenTelemetry: `pipeline.run(observe=OpenTelemetry("index"))`.

    pipeline: names its spans, and is the attribute `chainpump.pipeline` of all that it tells. As the run ends it makes
    a span for it, with one within for each stage. meter, tracer: by default those of the program's providers.
    """

    def __init__(self, pipeline: str, meter: Meter | None = None, tracer: Tracer | None = None) -> None:
        self._pipeline = pipeline
        self._progress: Progress | None = None
        # The caller's own span: snapshots come in a thread of their own, which has none.
        self._around = trace.get_current_span()
        self._tracer = tracer or trace.get_tracer(NAME)
        meter = meter or metrics.get_meter(NAME)
        for name, unit, said, field in COUNTED:
            meter.create_observable_counter(name, [self._observing(field)], unit, said)
        for name, unit, said, field in MEASURED:
            meter.create_observable_gauge(name, [self._observing(field)], unit, said)

    def _observing(self, field: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            stages = self._progress.stages if self._progress is not None else ()
            return [
                Observation(getattr(each, field), self._attributes(name, each.role))
                for name, each in zip(labels(stages), stages, strict=True)
            ]

        return observe

    def _attributes(self, stage: str, role: str) -> dict[str, str]:
        return {"chainpump.pipeline": self._pipeline, "chainpump.stage": stage, "chainpump.role": role}

    def __call__(self, progress: Progress) -> None:
        """Take a snapshot; the last one makes the spans."""
        self._progress = progress
        if progress.is_over:
            self._trace(progress, time.time_ns())

    def _trace(self, progress: Progress, end: int) -> None:
        start = end - int(progress.elapsed * SECOND)
        attributes: dict[str, AttributeValue] = {
            "chainpump.pipeline": self._pipeline,
            "chainpump.items": progress.items,
        }
        if progress.bottleneck is not None:
            attributes["chainpump.bottleneck"] = progress.bottleneck
        run = self._tracer.start_span(
            f"run {self._pipeline}", set_span_in_context(self._around), attributes=attributes, start_time=start
        )
        within = set_span_in_context(run)
        for name, each in zip(labels(progress.stages), progress.stages, strict=True):
            figures: dict[str, AttributeValue] = {f"chainpump.{figure}": getattr(each, figure) for figure in FIGURES}
            stage = self._tracer.start_span(
                f"{each.role} {name}",
                within,
                attributes={**self._attributes(name, each.role), **figures},
                start_time=start,
            )
            stage.end(end)
        run.end(end)
