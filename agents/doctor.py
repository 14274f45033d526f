"""The checks of `kinolog doctor`: those of streams/doctor, and those that need other packages."""

from collections.abc import Mapping

from streams import doctor
from streams.data_files import pipelines_dir
from streams.doctor.diagnosis import Check, Finding, fine, problem
from streams.settings import Settings
from tables.pipelines import InvalidPipeline, load_pipelines


async def pipelines(settings: Settings) -> Finding:
    """Check the pipeline files and the default pipeline."""
    folder = pipelines_dir(settings)
    try:
        loaded = load_pipelines(folder)
    except InvalidPipeline as error:
        return problem(str(error), "Fix the file, or unset KINOLOG_PIPELINES_DIR.")
    if settings.default_pipeline not in loaded:
        return problem(f"{folder} has no pipeline {settings.default_pipeline!r}.", "Set KINOLOG_DEFAULT_PIPELINE.")
    return fine(", ".join(loaded))


CHECKS: Mapping[str, Check] = {"pipelines": pipelines, **doctor.CHECKS}
