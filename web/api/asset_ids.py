"""Asset ids in requests: an id that an owner chose lies in that owner's namespace, so it says nothing of others'."""

import re

from streams.ids import ID_PATTERN, namespaced_id
from web.api.common import read_own_write
from web.auth.principal import Principal
from web.http.problems import not_found
from web.readmodel import queries
from web.services import Services

#: Ids that the service makes: they name an existing asset, or none.
_GENERATED = re.compile(r"asset_[0-9a-f]{24}")


async def submitted_asset_id(parts: Services, principal: Principal, requested: str | None) -> str | None:
    """The id of the asset that a submission names: an existing one that the caller may see, else in the namespace.

    None: a new asset. Admins choose ids freely. Raises Problem (404) for a generated id of no visible asset.
    """
    if requested is None or principal.scope is None or not ID_PATTERN.fullmatch(requested):
        return requested
    if await is_visible(parts, principal, requested):
        return requested
    if _GENERATED.fullmatch(requested):
        raise not_found("asset")
    return namespaced_id(principal.scope, requested)


async def visible_asset_id(parts: Services, principal: Principal, requested: str) -> str | None:
    """The id of the asset that the caller means, by its id or by the id that the owner chose; None: there is none."""
    for asset_id in principal.asset_ids(requested):
        if await is_visible(parts, principal, asset_id):
            return asset_id
    return None


async def is_visible(parts: Services, principal: Principal, asset_id: str) -> bool:
    """Whether the asset exists and the caller may see it."""
    owner = await read_own_write(parts, principal, "assets", asset_id, queries.asset_owner)
    return owner is not None and principal.sees(owner[0])
