"""What the world can send to each decoder, and what must hold of it: the documented error and no other, and no lies.

A target takes any bytes. It raises when something does not hold, and only then.
"""

from collections.abc import Callable

from tests.fuzz import from_outside, from_tools

Target = Callable[[bytes], object]

TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        from_outside.envelope,
        from_outside.upload_event,
        from_outside.cursor,
        from_outside.listing,
        from_outside.subscription,
        from_outside.range_header,
        from_outside.tus_metadata,
        from_outside.web_token,
        from_outside.grants,
        from_outside.settings,
        from_outside.address,
        from_outside.store_key,
        from_tools.playlist,
        from_tools.first_bytes,
        from_tools.fragments,
        from_tools.probe_answer,
        from_tools.tool_output,
        from_tools.captions,
        from_tools.endpoint_answer,
        from_tools.model_frame,
    )
}
