"""The parts of `make bench`, each a list of figures."""

from tests.bench import cache, interface, makespan, models, throughput, timelines, whole
from tests.bench.figures import Figure


async def of_interface(_runs: int) -> list[Figure]:
    """Lists, timelines, posts and live clients."""
    lists, past = await interface.lists(), await timelines.timelines()
    post, live = await interface.post(), await interface.live()
    pages, answers, delivery = lists["all_pages"], post["answers"], live["delivery"]
    first = post["first_seconds"]["p99_ms"]
    load = f"first 3 s after the start p99 {first} ms, {post['failed']} failed, load {post['load']:.1f}"
    return [
        _p99(f"any page of {lists['jobs']:,} jobs", "Lists stay quick when they are long.", pages, "", 50),
        _p99(
            f"timeline of one of {past['jobs']:,} jobs",
            "The history of a job is there when you click.",
            past["timeline"],
            f"index made in {past['indexed_s']} s",
            150,
        ),
        _p99(f"one of {past['jobs']:,} jobs, `as_of` a moment", "So is its state in the past.", past["as_of"], "", 150),
        _p99(f"counts of {past['jobs']:,} jobs, `as_of` a moment", "And so are counts.", past["stats_as_of"], "", 150),
        _p99(
            f"`POST` at {post['rate_per_s']}/s while executors encode",
            "Your service does not wait for media work.",
            answers,
            load,
            100,
        ),
        _p99(
            f"delivery to {live['sockets']:,} websockets of {live['active']} jobs",
            "How old the news on a crowded page is.",
            delivery,
            _lost(live),
            250,
        ),
    ]


def _lost(live: dict[str, object]) -> str:
    return f"{live['lost']} of {live['changes']} changes lost"


def _p99(what: str, meaning: str, measured: dict[str, float], more: str, target_ms: float) -> Figure:
    told = ", ".join(filter(None, [f"p50 {measured['p50_ms']} ms, max {measured['max_ms']} ms", more]))
    p99 = measured["p99_ms"]
    target, n = f"p99 <= {target_ms:.0f} ms", measured["count"]
    return Figure(what, meaning, f"p99 {p99} ms", f"{told}, n={n}", target, p99 / target_ms)


async def of_models(_runs: int) -> list[Figure]:
    """Speech and embeddings; they know best how often they must be measured."""
    return await models.figures()


PARTS = {
    "whole": whole.figures,
    "throughput": throughput.figures,
    "makespan": makespan.figures,
    "interface": of_interface,
    "cache": cache.figures,
    "models": of_models,
}
