"""Checks of the Kafka cluster: topics, consumer groups, executors."""

from aiokafka.errors import KafkaError

from streams.broker.process import running_cluster
from streams.cluster import Cluster
from streams.doctor.diagnosis import Finding, fine, problem, unreachable, warning
from streams.kafka.admin import TopicsError, TopicsReport, compare_topics
from streams.kafka.consumer_groups import executor_group, require_own_group
from streams.kafka.executor_reports import executors_by_step, unserved_steps
from streams.kafka.topics import control_group
from streams.process.ports import refusal
from streams.settings import Settings, SettingsError
from streams.supervisor import run_dir

#: Response timeout.
_TIMEOUT_S = 5.0


def running_log(settings: Settings) -> Cluster | None:
    """The cluster of the log; None while it need not run."""
    if settings.kafka.bootstrap is not None:
        return settings.cluster
    return running_cluster(settings.data_path / "kafka") if run_dir.is_up(settings) else None


async def log(settings: Settings) -> Finding:
    """Kafka and its topics, or the port of the embedded broker while `kinolog up` is not running."""
    if (cluster := running_log(settings)) is not None:
        return await _topics(settings, cluster)
    if settings.kafka.port and (refused := refusal(settings.kafka.port, section="KAFKA")) is not None:
        return problem(f"{refused.reason} `kinolog up` cannot start its broker.", refused.remedy)
    return fine("Not running; `kinolog up` starts it.")


async def groups(settings: Settings) -> Finding:
    """Whether no other installation is in the consumer groups."""
    if (cluster := running_log(settings)) is None:
        return fine("Not running.")
    reached = settings.with_cluster(cluster)
    lanes = ("default", *settings.executor.lanes)
    try:
        for group in (control_group(settings), *(executor_group(settings, lane) for lane in dict.fromkeys(lanes))):
            await require_own_group(reached, group)
    except SettingsError as error:
        return problem(str(error))
    return fine(f"The consumer groups {settings.own_prefix}* are this installation's.")


async def queues(settings: Settings) -> Finding:
    """Whether the queue of each step has an executor."""
    if (cluster := running_log(settings)) is None:
        return fine("Not running.")
    try:
        executors = await executors_by_step(settings, cluster)
    except (KafkaError, OSError, TimeoutError):
        return warning("Unknown: Kafka does not respond.")
    if not any(executors.values()):
        return warning("No executor is running: all jobs wait.", "Start one: `kinolog executor`.")
    if idle := unserved_steps(executors):
        remedy = "Start an executor for them: see KINOLOG_EXECUTOR__LANES and the versions of the executors."
        return warning(f"No executor for {', '.join(idle)}: jobs with these steps wait.", remedy)
    return fine(f"All queues have executors, at most {max(executors.values())} each")


async def _topics(settings: Settings, cluster: Cluster) -> Finding:
    try:
        report = await compare_topics(settings, cluster, within_s=_TIMEOUT_S)
    except TopicsError as error:
        return unreachable(str(error)) if error.code == "unreachable" else problem(str(error))
    return _compared(report, cluster.bootstrap, settings)


def _compared(report: TopicsReport, bootstrap: str, settings: Settings) -> Finding:
    if report.created:
        few = ", ".join(report.created[:3]) + (", …" if len(report.created) > 3 else "")
        return problem(f"{len(report.created)} topics are missing on {bootstrap}: {few}", "Run `kinolog topics apply`.")
    if report.altered:
        return warning(f"Topics differ on {bootstrap}: {'; '.join(report.altered)}", "Run `kinolog topics apply`.")
    if report.too_few_replicas:
        remedy = "Add replicas with kafka-reassign-partitions.sh, or set KINOLOG_KAFKA__REPLICATION_FACTOR."
        return warning(f"{'; '.join(report.too_few_replicas)}, on {bootstrap}", remedy)
    kept = f"; not changed: {'; '.join(report.differing)}" if report.differing else ""
    return fine(f"{bootstrap} responds; all topics exist, with {settings.partitions} partitions{kept}")
