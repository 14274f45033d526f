"""The public part of a URL, which may be shown, logged and published: userinfo, query and fragment may be secrets."""

from yarl import URL


def public_url(url: str) -> str:
    """`url` without userinfo, query and fragment."""
    return str(URL(url).with_user(None).with_query(None).with_fragment(None))
