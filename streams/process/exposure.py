"""Check that the interface is not open to others while authentication is disabled."""

from ipaddress import ip_address

from streams.settings import Settings, SettingsError


def require_closed(settings: Settings) -> None:
    """Raise SettingsError if others than users of this machine could use the interface without a token."""
    if settings.auth.enabled:
        return
    if not is_loopback(settings.web.host):
        raise SettingsError(
            f"KINOLOG_WEB__HOST: {settings.web.host} is not a loopback address, and with KINOLOG_AUTH__ENABLED=false "
            "everybody who reaches it is an admin: enable authentication, or bind 127.0.0.1"
        )
    if "*" in settings.web.cors_origins:
        raise SettingsError(
            'KINOLOG_WEB__CORS_ORIGINS: "*" would make every web page an admin while KINOLOG_AUTH__ENABLED=false: '
            "name the origins, or enable authentication"
        )


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address or `localhost`. Names are not resolved."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
    # Python 3.11 does not see the loopback in an IPv4-mapped address.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
