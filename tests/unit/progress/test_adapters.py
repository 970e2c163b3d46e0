"""Runs as metrics and spans of others: names by their conventions, figures of the last snapshot."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest

from chainpump import Pipeline, Threads, per_worker
from chainpump.progress.otel import OpenTelemetry
from chainpump.progress.prometheus import Prometheus
from chainpump.progress.snapshot import Progress, StageProgress

LOAD = StageProgress("load", "source", "Inline()", 1, 1, 0, 70, 35.0, 0, 0.25, 0.0, 0.75)
SAVE = StageProgress("save", "sink", "Threads(1)", 1, 1, 60, 0, 30.0, 4, 0.5, 0.5, 0.0, retried=2, set_up=1.5)
PROGRESS = Progress(2.0, 2.0, 60, 30.0, 140, 0.4, 3.0, "save", (LOAD, SAVE))


@pytest.mark.parametrize("name, library", [("prometheus", "prometheus_client.core"), ("otel", "opentelemetry")])
def test_an_observer_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch, name: str, library: str) -> None:
    monkeypatch.delitem(sys.modules, f"chainpump.progress.{name}")
    monkeypatch.setitem(sys.modules, library, None)
    message = rf"^chainpump\.progress\.{name} needs .* is not installed\.\n  Run: pip install 'chainpump\[{name}\]'$"
    with pytest.raises(ImportError, match=message):
        import_module(f"chainpump.progress.{name}")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def told(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {"pipeline": "index", **labels})


def test_prometheus_is_told_of_each_stage(registry: CollectorRegistry) -> None:
    Prometheus("index", registry)(PROGRESS)
    assert told(registry, "chainpump_items_sent_total", stage="load") == 70
    assert told(registry, "chainpump_items_received_total", stage="save") == 60
    assert told(registry, "chainpump_retries_total", stage="save") == 2
    assert told(registry, "chainpump_set_up_seconds_total", stage="save") == 1.5
    assert told(registry, "chainpump_items_in_flight", stage="save") == 4
    assert told(registry, "chainpump_worker_time_ratio", stage="load", state="blocked") == 0.75
    assert told(registry, "chainpump_done_ratio") == 0.4
    assert "# TYPE chainpump_items_received_total counter" in generate_latest(registry).decode()


def test_counters_of_prometheus_go_on_from_run_to_run(registry: CollectorRegistry) -> None:
    observer = Prometheus("index", registry)
    for snapshot in (PROGRESS, replace(PROGRESS, is_over=True), PROGRESS):
        observer(snapshot)
    assert told(registry, "chainpump_items_sent_total", stage="load") == 140
    assert told(registry, "chainpump_set_up_seconds_total", stage="save") == 3.0


TWICE = replace(PROGRESS, stages=(LOAD, replace(SAVE, received=70), SAVE))


def test_stages_of_the_same_name_are_told_apart(registry: CollectorRegistry) -> None:
    observer = Prometheus("index", registry)
    for snapshot in (replace(TWICE, is_over=True), TWICE):
        observer(snapshot)
    assert told(registry, "chainpump_items_received_total", stage="save") == 140
    assert told(registry, "chainpump_items_received_total", stage="save (2)") == 120
    reader = InMemoryMetricReader()
    OpenTelemetry("index", MeterProvider([reader]).get_meter("test"))(TWICE)
    assert dict(received(reader)) == {"load": 0, "save": 70, "save (2)": 60}


def received(reader: InMemoryMetricReader) -> Iterator[tuple[Any, Any]]:
    """Of each stage, how many items OpenTelemetry is told."""
    data = reader.get_metrics_data()
    assert data is not None
    (metrics,) = (scope.metrics for resource in data.resource_metrics for scope in resource.scope_metrics)
    for point in next(each for each in metrics if each.name == "chainpump.items.received").data.data_points:
        yield (point.attributes or {})["chainpump.stage"], point.value  # type: ignore[union-attr]  # one that counts


def test_before_a_run_prometheus_is_told_nothing(registry: CollectorRegistry) -> None:
    Prometheus("index", registry)
    assert generate_latest(registry) == b""


def test_a_registry_takes_one_collector_of_these_names(registry: CollectorRegistry) -> None:
    Prometheus("index", registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Prometheus("index", registry)


def test_a_run_is_shown_to_prometheus(registry: CollectorRegistry) -> None:
    Pipeline(range(10)).into(sum, on=Threads()).run(observe=Prometheus("index", registry))
    assert told(registry, "chainpump_items_received_total", stage="sum") == 10


def test_opentelemetry_is_told_of_each_stage() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    observer = OpenTelemetry("index", provider.get_meter("test"), TracerProvider().get_tracer("test"))
    assert reader.get_metrics_data() is None, "before the run there is nothing"
    observer(PROGRESS)
    data: Any = reader.get_metrics_data()
    found = {
        (metric.name, point.attributes["chainpump.stage"]): point.value
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    assert found["chainpump.items.received", "save"] == 60
    assert found["chainpump.items.in_flight", "save"] == 4
    assert found["chainpump.workers.blocked", "load"] == 0.75
    assert found["chainpump.set_up", "save"] == 1.5
    provider.shutdown()


def adding(summand: int) -> Callable[[int], int]:
    return lambda number: number + summand


def test_a_run_is_a_span_and_each_stage_one_within_it() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("nightly") as around:
        observer = OpenTelemetry("index", MeterProvider().get_meter("test"), tracer)
        Pipeline(range(10)).map(per_worker(adding, 1), on=Threads()).into(sum, on=Threads()).run(observe=observer)
    finished: list[Any] = list(exporter.get_finished_spans())
    *stages, run, _ = finished
    assert [span.name for span in stages] == ["source range", "stage adding", "sink sum"]
    assert (run.name, run.parent.span_id) == ("run index", around.get_span_context().span_id)
    assert {span.parent.span_id for span in stages} == {run.context.span_id}
    assert stages[1].attributes["chainpump.set_up"] > 0
    assert stages[2].attributes["chainpump.set_up"] == 0
    assert stages[2].attributes["chainpump.received"] == 10
    assert run.attributes["chainpump.items"] == 10
    assert 0 < run.end_time - run.start_time < 60e9
