"""The figures as Prometheus metrics: one gauge a partition, and nothing that is not known.

A figure that could not be measured has no sample, so that no alert takes an old or a made-up one for the truth; the
monitor's own metrics say that it could not. Labels are names of our own catalogue and numbers: their number is bounded
by partitions times projections.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from projectors.runtime.lag_figures import PartitionFigures, Report

LABELS = ("projection", "topic", "partition")
PREFIX = "rookery_projection_"
Figure = Callable[[PartitionFigures], float | None]
GAUGES: dict[str, tuple[str, Figure]] = {
    "position": ("The offset of the next record to apply.", lambda each: each.position),
    "end": ("The offset that the log's next record gets.", lambda each: each.end),
    "lag_records": ("Records not applied yet.", lambda each: each.lag_records),
    "lag_seconds": ("Age of the first record not applied yet; 0 at the log's end.", lambda each: each.lag_seconds),
    "rate": ("Records applied a second, over the last half minute.", lambda each: each.rate),
    "append_rate": ("Records appended a second, over the last half minute.", lambda each: each.append_rate),
    "drain_seconds": ("Until the log's end is reached; absent when it never is.", lambda each: each.drain_seconds),
    "seconds_since_advance": ("Since the position last moved.", lambda each: each.seconds_since_advance),
    "parked": ("Records set aside because they could not be applied.", lambda each: each.parked),
    "commit_drift": ("The stored position minus Kafka's group commit.", lambda each: each.commit_drift),
}


class LagCollector:
    """Tells the newest report each time it is asked; None while there is none, or only an old one."""

    def __init__(self, newest: Callable[[], Report | None], last_look: Callable[[], float]) -> None:
        self._newest = newest
        self._last_look = last_look

    def collect(self) -> Iterator[Metric]:
        report = self._newest()
        partitions = list(report.partitions) if report is not None else []
        for name, (text, figure) in GAUGES.items():
            yield _gauge(PREFIX + name, text, ((each, figure(each)) for each in partitions))
        rebalances = CounterMetricFamily(
            PREFIX + "rebalances", "How often a worker took the partition over.", labels=LABELS
        )
        state = GaugeMetricFamily(PREFIX + "state", "1 for the state it is in.", labels=(*LABELS, "state"))
        for each in partitions:
            rebalances.add_metric(_labels(each), each.rebalances)
            state.add_metric((*_labels(each), each.state.value), 1)
        yield rebalances
        yield state
        workers = GaugeMetricFamily(PREFIX + "workers", "Members of its consumer group.", labels=LABELS[:1])
        for projection in report.projections if report is not None else ():
            if projection.workers is not None:
                workers.add_metric((projection.projection,), projection.workers)
        yield workers
        yield GaugeMetricFamily(
            "rookery_monitor_troubles",
            "Stores and brokers that did not answer the last look.",
            value=len(report.troubles) if report is not None else 1,
        )
        yield GaugeMetricFamily(
            "rookery_monitor_last_look_timestamp_seconds", "When the last look was taken.", value=self._last_look()
        )


def registry_of(newest: Callable[[], Report | None], last_look: Callable[[], float]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LagCollector(newest, last_look))
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """Prometheus' text format."""
    return generate_latest(registry)


def _gauge(name: str, text: str, figures: Iterable[tuple[PartitionFigures, float | None]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=LABELS)
    for each, figure in figures:
        if figure is not None:
            family.add_metric(_labels(each), figure)
    return family


def _labels(each: PartitionFigures) -> tuple[str, str, str]:
    return (each.projection, each.topic, str(each.partition))
