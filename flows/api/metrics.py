"""What the service counts, for Prometheus: never a name, an address or a digest of a clip."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tasks.judgement import Judgement

SECONDS = (0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)


class Metrics:
    """The numbers of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = Counter(
            "fourier_deepfake_upload_bytes", "Bytes of uploads received.", registry=self.registry
        )
        self.refused = Counter(
            "fourier_deepfake_uploads_refused",
            "Uploads that were refused or broken off, by HTTP status.",
            ["status"],
            registry=self.registry,
        )
        self.judged = Counter(
            "fourier_deepfake_clips_judged",
            "Clips judged, by status and verdict (none unless scored).",
            ["status", "verdict"],
            registry=self.registry,
        )
        self.broken = Counter(
            "fourier_deepfake_jobs_broken", "Jobs that a fault of the service ended.", registry=self.registry
        )
        self.seconds = Histogram(
            "fourier_deepfake_job_seconds",
            "Time from the start of judging a clip to its end, with evidence where asked for.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._busy = Gauge(
            "fourier_deepfake_clips_in_work",
            "Clips that are received, wait or are judged.",
            registry=self.registry,
        )

    def watch(self, busy: Callable[[], int]) -> None:
        """Ask `busy` for the number of clips in work whenever the metrics are read."""
        self._busy.set_function(busy)

    def count(self, judged: Judgement) -> None:
        """One more clip that was judged."""
        self.judged.labels(judged.status, judged.verdict or "none").inc()
