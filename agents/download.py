"""media.step-requests.download -> Download -> media.step-events."""

from processors.download import Download
from processors.fetch.fetcher import Fetcher
from processors.fetch.limits import FetchLimits
from processors.fetch.single_flight import Flights, LocalFlights
from processors.storage.object_store import open_store
from processors.toolbox import Toolbox
from streams.settings import Settings, SettingsError


def make(_toolbox: Toolbox, settings: Settings) -> Download:
    """The processor of this step. Raises SettingsError where Redis is wanted and its library is not there."""
    asked = settings.download
    limits = FetchLimits(
        allow_hosts=asked.allowed_hosts,
        ports=asked.ports,
        max_bytes=asked.max_bytes,
        timeout_s=asked.timeout_s,
        connect_timeout_s=asked.connect_timeout_s,
        stall_s=asked.stall_s,
        min_bytes_per_s=asked.min_bytes_per_s,
        max_redirects=asked.max_redirects,
        tries=asked.tries,
    )
    return Download(open_store(settings.store_url), Fetcher(limits), make_flights(settings), asked.fresh_s)


def make_flights(settings: Settings) -> Flights:
    """Over all executors where there is Redis; of this process otherwise."""
    asked, redis = settings.download, settings.redis
    if redis.url is None:
        return LocalFlights(asked.per_host, asked.per_host_per_s)
    try:
        from processors.fetch.redis_single_flight import RedisFlights
    except ImportError as error:
        raise SettingsError('KINOLOG_REDIS__URL: the library is missing: pip install "kinolog[redis]"') from error
    return RedisFlights(
        redis.url,
        timeout_s=redis.timeout_s,
        lease_s=redis.lease_s,
        per_host=asked.per_host,
        per_s=asked.per_host_per_s,
    )
