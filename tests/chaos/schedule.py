"""What goes wrong, and when: a pure function of the seed, so that a run can be replayed."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

CONTROLS = ("control-1", "control-2")
EXECUTORS = ("executor-1", "executor-2", "executor-3")
WEBS = ("web-1", "web-2")
#: An executor that comes and goes.
GUEST = "executor-4"
ROLES = {"control": CONTROLS, "executor": EXECUTORS, "web": WEBS}
#: Their disks are small, and can be filled.
SMALL_DISKS = ("executor-3", "web-2")
#: Longer than leases and sessions: whoever wakes up from it has lost both.
FREEZE_S = 10.0
#: From the end of one fault to the beginning of the next, seconds. Some faults last, and others begin meanwhile.
_GAP_S = (2.0, 6.0)
#: Runs from here on have room for a broker that is away for half a minute.
_LONG_S = 120.0
#: How long writes to a slow disk wait, seconds.
_STALLS_S = (0.2, 0.5, 2.0)
#: How wrong a clock gets, seconds: up to more than anything is kept.
_DAYS_S = 32 * 86_400
_JUMPS_S = (-_DAYS_S, -7200, -600, -30, 30, 600, 7200, _DAYS_S)

#: A dense schedule: deaths in a row, seconds between two of them, and seconds behind a row in which work gets on.
_ROW, _DEATH_S, _CALM_S = 20, (0.4, 0.9), (8.0, 14.0)
#: Whose deaths: of control and executors more than of web.
_DYING = ("control", "control", "executor", "executor", "web")

#: Seconds from one power cut to the next, and until the power is back.
_CUTS_S, _OUTAGE_S = (12.0, 18.0), (0.0, 4.0)


class Fault(NamedTuple):
    """Something that goes wrong."""

    #: Since the beginning of the run.
    at_s: float
    kind: str
    #: Process, broker node, or disk; empty where there is only one.
    target: str
    #: Until it is good again; 0: at once, or by itself.
    lasts_s: float = 0.0
    #: How much, where that is a question.
    amount: float = 0.0

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:.0f} s" if self.lasts_s else ""
        amount = f" by {self.amount:g} s" if self.amount else ""
        return f"{self.at_s:6.1f} s  {self.kind} {self.target}{amount}{lasts}"


class Allowed(NamedTuple):
    """What the machine lets us do."""

    #: Disks that can be filled.
    small_disks: bool
    #: And slowed; brokers have disks of their own then, which can be filled, too.
    slow_disks: bool
    own_network: bool
    #: Brokers have disks of their own, from which the power can be taken.
    power: bool = False


class Trouble(NamedTuple):
    """A kind of fault: whom it may hit, and how long and how much."""

    kind: str
    targets: Sequence[str] = ("",)
    lasts_s: tuple[float, float] = (0.0, 0.0)
    amounts: Sequence[float] = (0.0,)


def uses_bucket(seed: int) -> bool:
    """Whether the run's store is a bucket that fails now and then; else it is a folder on a disk that fills up."""
    return seed % 2 == 0


def schedule(seed: int, seconds: float, nodes: Sequence[str], allowed: Allowed) -> list[Fault]:
    """Faults for a run of `seconds`; all are over when it ends. Every kind comes before one comes again."""
    chance = random.Random(f"faults {seed}")
    troubles = [*_troubles(nodes, seconds, allowed), *_store_troubles(allowed, bucket=uses_bucket(seed))]
    found: list[Fault] = []
    at_s = 3.0
    while True:
        for trouble in chance.sample(troubles, len(troubles)):
            fault = _fault(chance, trouble, at_s)
            if at_s + fault.lasts_s > seconds:
                return found
            found.append(fault)
            # The next one may begin while this one lasts.
            at_s += chance.uniform(*_GAP_S) + chance.choice((0.0, 0.5, 1.0)) * min(fault.lasts_s, FREEZE_S)


def dense(seed: int, deaths: int, nodes: Sequence[str]) -> list[Fault]:
    """Deaths in rows, in each one of a broker."""
    chance = random.Random(f"deaths {seed}")
    found: list[Fault] = []
    at_s = 3.0
    while len(found) < deaths:
        row = min(_ROW, deaths - len(found))
        brokers = chance.randrange(row)
        for number in range(row):
            at_s += chance.uniform(*_DEATH_S)
            dies = Fault(at_s, "die", chance.choice(_DYING), amount=chance.randrange(100))
            found.append(Fault(at_s, "broker-kill", chance.choice(nodes)) if number == brokers else dies)
        at_s += chance.uniform(*_CALM_S)
    return found


def power_cuts(seed: int, cuts: int, nodes: Sequence[str]) -> list[Fault]:
    """Power cuts of one broker after another, any but the one before."""
    chance, found = random.Random(f"power {seed}"), list[Fault]()
    at_s = _CUTS_S[0]
    for _ in range(cuts):
        others = [node for node in nodes if not found or node != found[-1].target] or nodes
        found.append(Fault(at_s, "power-cut", chance.choice(others), chance.uniform(*_OUTAGE_S)))
        at_s += chance.uniform(*_CUTS_S)
    return found


def _fault(chance: random.Random, trouble: Trouble, at_s: float) -> Fault:
    lasts_s = chance.uniform(*trouble.lasts_s)
    return Fault(at_s, trouble.kind, chance.choice(trouble.targets), lasts_s, chance.choice(trouble.amounts))


def _troubles(nodes: Sequence[str], seconds: float, allowed: Allowed) -> list[Trouble]:
    down_s = 30.0 if seconds >= _LONG_S else 10.0
    return [
        *(Trouble("kill", names) for names in ROLES.values()),
        *(Trouble("freeze", names, (FREEZE_S, FREEZE_S)) for names in ROLES.values()),
        Trouble("stop", CONTROLS + EXECUTORS + WEBS),
        Trouble("roll", tuple(ROLES), (10.0, 10.0)),
        Trouble("churn", (GUEST,), (15.0, 25.0)),
        *(Trouble("clock", names, (4.0, 12.0), _JUMPS_S) for names in ROLES.values()),
        Trouble("garbage"),
        *(Trouble("abuse", (name,), (5.0, 10.0)) for name in WEBS),
        Trouble("redis-kill"),
        Trouble("origin-down", lasts_s=(3.0, 6.0)),
        Trouble("broker-kill", nodes),
        Trouble("broker-freeze", nodes, (3.0, FREEZE_S)),
        *([Trouble("broker-down", nodes, (down_s, down_s))] if seconds >= _LONG_S or len(nodes) > 1 else []),
        *([Trouble("disk-full", SMALL_DISKS, (3.0, 8.0))] if allowed.small_disks else []),
        *([Trouble("disk-slow", (*SMALL_DISKS, *nodes), (3.0, 8.0), _STALLS_S)] if allowed.slow_disks else []),
        *([Trouble("broker-full", nodes, (3.0, 8.0))] if allowed.slow_disks else []),
        *([Trouble("cut", nodes, (3.0, FREEZE_S))] if allowed.own_network else []),
    ]


def _store_troubles(allowed: Allowed, *, bucket: bool) -> list[Trouble]:
    if bucket:
        return [Trouble("store-errors", lasts_s=(3.0, 8.0)), Trouble("store-down", lasts_s=(3.0, 6.0))]
    return [
        *([Trouble("store-full", lasts_s=(3.0, 6.0))] if allowed.small_disks else []),
        *([Trouble("store-slow", lasts_s=(3.0, 8.0), amounts=_STALLS_S)] if allowed.slow_disks else []),
    ]


def describe(faults: Sequence[Fault]) -> Iterator[str]:
    """One line for each kind: how often."""
    counts: dict[str, int] = {}
    for fault in faults:
        counts[fault.kind] = counts.get(fault.kind, 0) + 1
    return (f"{count} {kind}" for kind, count in sorted(counts.items()))
