"""What is known of one target's load. Time is an argument; reading never writes.

All latencies are in seconds, all times in seconds of one monotonic clock.
"""

from __future__ import annotations

from math import exp, fsum
from typing import ClassVar, Final

PEAK_EWMA_TAU_S: Final = 10.0  # Finagle, Linkerd
FAILURE_PENALTY_S: Final = (
    1.0  # a failure counts as at least this slow, or fast failers attract all
)
NEVER_S: Final = float("inf")
# Of shared memory, that a load may use to show the same target's loads in the other processes what
# it has seen: totals that only rise, so that a reader who remembers the last values needs no lock.
SEEN_CELLS: Final = 3


class PeakEwma:
    """A latency estimate that rises at once and decays slowly (Finagle's Peak EWMA).

    On a sample `rtt` at time `t`: w = exp(-(t - stamp) / tau); the cost becomes `rtt` when that is
    higher, else cost * w + rtt * (1 - w). Reading decays toward 0, so that an idle target is
    tried again.
    """

    __slots__ = ("cost", "stamp", "tau_s")

    def __init__(self, tau_s: float = PEAK_EWMA_TAU_S) -> None:
        self.tau_s = tau_s
        self.cost = 0.0
        self.stamp = 0.0

    def observe(self, rtt_s: float, now: float) -> None:
        """Add one sample."""
        if rtt_s >= self.cost:
            self.cost = rtt_s
        else:
            w = exp((self.stamp - now) / self.tau_s)
            self.cost = self.cost * w + rtt_s * (1.0 - w)
        self.stamp = now

    def read(self, now: float) -> float:
        """The estimate at `now`, as if 0 had been observed then."""
        if self.cost == 0.0:
            return 0.0
        return self.cost * exp((self.stamp - now) / self.tau_s)


class WindowMean:
    """The mean of the last `size` samples."""

    __slots__ = ("_next", "_samples", "_size", "_sum", "mean")

    def __init__(self, size: int) -> None:
        self._size = size
        self._samples: list[float] = []
        self._next = 0  # the oldest, once the window is full
        self._sum = 0.0
        self.mean = 0.0  # of nothing: 0

    def observe(self, sample: float) -> None:
        """Add one sample; the oldest goes when there are too many."""
        samples = self._samples
        if len(samples) < self._size:
            samples.append(sample)
            self._sum += sample
        else:
            place = self._next
            self._sum += sample - samples[place]
            samples[place] = sample
            self._next = place = (place + 1) % self._size
            if place == 0:
                self._sum = fsum(samples)  # once a round, so that errors do not pile up
        self.mean = self._sum / len(samples)


class Load:
    """Everything a policy may know of a target beside its pending count.

    A policy that wants to know something else has a class of its own. Each request is heard of by
    `begin` and then by one of `succeed`, `fail`, `abandon`, `void`.
    """

    __slots__ = (
        "cloudwatch_cpu",
        "cpu",
        "finished",
        "peak",
        "probe_at",
        "probe_latency_s",
        "reported_pending",
    )

    wants_reports: ClassVar[bool] = False  # whether `reported` is to be called for each response
    wants_latency: ClassVar[bool] = True  # else `reported` hears of the pending requests alone

    def __init__(self) -> None:
        self.peak = PeakEwma()
        self.finished = 0  # requests that ended here, well or not
        self.probe_latency_s = NEVER_S  # of the last probe; infinite: none, or it failed
        self.probe_at = -NEVER_S
        self.reported_pending: float | None = None
        self.cpu: float | None = None  # 0..1, as the target itself says
        self.cloudwatch_cpu: float | None = None  # 0..1, minutes old

    def fresh(self) -> Load:
        """One of the same kind that knows nothing yet, for a target that returned to health."""
        return type(self)()

    def estimate_s(self) -> float:
        """What the policy goes by, as a latency; 0 while nothing is known."""
        return self.peak.cost

    def begin(self, now: float) -> None:
        """A request was placed here. Only called for a class that has its own."""

    def void(self, latency_s: float, now: float) -> None:
        """A request ended in a way that says nothing of the target: it may never have seen it."""

    def reported(
        self, pending: float | None, latency_s: float | None, cpu: float | None, now: float
    ) -> None:
        """The target's load report came: with a response, or as the answer to a probe.

        `pending` includes the requests of other balancers; `latency_s` is what one takes near it.
        """
        if pending is not None:
            self.reported_pending = pending
        if cpu is not None:
            self.cpu = cpu

    def succeed(self, latency_s: float, now: float) -> None:
        """A request ended with an answer that is not the target's failure."""
        self.finished += 1
        peak = self.peak  # `observe`, written out: this runs for every request
        if latency_s >= peak.cost:
            peak.cost = latency_s
        else:
            w = exp((peak.stamp - now) / peak.tau_s)
            peak.cost = peak.cost * w + latency_s * (1.0 - w)
        peak.stamp = now

    def fail(self, latency_s: float, now: float) -> None:
        """A request failed by the target's fault: no connection, no answer, nonsense, or 5xx."""
        self.finished += 1
        self.peak.observe(max(latency_s, FAILURE_PENALTY_S), now)

    def abandon(self, latency_s: float, now: float) -> None:
        """The client left after `latency_s` without a whole answer: it took at least that long."""
        if latency_s > self.peak.read(now):
            self.peak.observe(latency_s, now)

    def probed(
        self,
        latency_s: float | None,
        pending: float | None,
        cpu: float | None,
        now: float,
        cloudwatch_cpu: float | None = None,
    ) -> None:
        """A probe was answered, or failed (`latency_s` is None); CloudWatch's word comes along."""
        self.probe_latency_s = NEVER_S if latency_s is None else latency_s
        self.probe_at = now
        self.reported_pending = pending
        self.cpu = cpu
        self.cloudwatch_cpu = cloudwatch_cpu
