"""media.step-requests -> Download -> media.step-events."""

from processors.download import Download
from processors.fetch.fetcher import Fetcher
from processors.fetch.single_flight import LocalSingleFlight, SingleFlight
from processors.storage.object_store import open_store
from processors.tools.runner import Runner
from streams.process.folders import store_mark
from streams.settings import Settings, SettingsError


def make(_runner: Runner, settings: Settings) -> Download:
    """The processor of the step. Raises SettingsError where Redis is set and its library is missing."""
    return Download(
        open_store(settings.store_url, mark=store_mark(settings)),
        Fetcher(settings.download),
        make_single_flight(settings),
        settings.download.fresh_s,
    )


def make_single_flight(settings: Settings) -> SingleFlight:
    """Single-flight across all executors with Redis; within this process otherwise."""
    limits, redis = settings.download, settings.redis
    if redis.url is None:
        return LocalSingleFlight(limits.per_host, limits.per_host_per_s)
    try:
        from processors.fetch.redis_single_flight import RedisSingleFlight
    except ImportError as error:
        raise SettingsError('KINOLOG_REDIS__URL: the library is missing: pip install "kinolog[redis]"') from error
    return RedisSingleFlight(
        redis.url,
        timeout_s=redis.timeout_s,
        lease_s=redis.lease_s,
        per_host=limits.per_host,
        per_s=limits.per_host_per_s,
        prefix=settings.redis_prefix,
    )
