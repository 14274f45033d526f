"""Everything that `kinolog doctor` looks at: the checks of streams/checks, and those that need more than streams."""

from collections.abc import Mapping

from streams import doctor
from streams.data_files import pipelines_dir
from streams.doctor.diagnosis import Check, Finding, fine, problem
from streams.settings import Settings
from tables.pipelines import InvalidPipeline, load_pipelines


async def pipelines(settings: Settings) -> Finding:
    """The pipelines, and the one that is taken where none is named."""
    folder = pipelines_dir(settings)
    try:
        found = load_pipelines(folder)
    except InvalidPipeline as error:
        return problem(str(error), "mend the file, or unset KINOLOG_PIPELINES_DIR")
    if settings.default_pipeline not in found:
        return problem(f"{folder} has no pipeline {settings.default_pipeline!r}", "set KINOLOG_DEFAULT_PIPELINE")
    return fine(", ".join(found))


CHECKS: Mapping[str, Check] = {"pipelines": pipelines, **doctor.CHECKS}
