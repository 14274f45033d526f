"""Which java and which jars the embedded broker takes."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from streams.broker import jvm
from streams.broker.jvm import BrokerError, Jvm

CHECKOUT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    "banner, version, number",
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime …', "17.0.15", 17),
        ('java version "1.8.0_392"', "1.8.0_392", 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx="1"\nopenjdk version "21" 2023-09-19', "21", 21),
        ('openjdk version "24-ea" 2025-03-18', "24-ea", 24),
    ],
)
def test_every_java_of_the_last_years_is_recognised(banner: str, version: str, number: int) -> None:
    assert jvm.java_version(banner) == version
    assert jvm.major(version) == number


def test_output_without_a_version_is_not_taken_for_one() -> None:
    assert jvm.java_version("Error: could not find libjava.so") is None


def test_a_missing_java_is_explained(tmp_path: Path) -> None:
    for environ in ({"PATH": str(tmp_path)}, {"PATH": "/usr/bin", "JAVA_HOME": str(tmp_path)}):
        with pytest.raises(BrokerError, match=r"Java 17.*make setup") as caught:
            jvm.find_java(environ)
        assert caught.value.code == "java-missing"


def test_java_home_goes_before_the_path(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.touch(0o755)
    assert jvm.find_java({"PATH": "/usr/bin", "JAVA_HOME": str(tmp_path)}) == str(java)


def test_missing_jars_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BrokerError, match="make setup") as caught:
        jvm.find_jars(None)
    assert caught.value.code == "jars-missing"
    with pytest.raises(BrokerError, match="KINOLOG_KAFKA__HOME"):
        jvm.find_jars(str(tmp_path))


@pytest.mark.parametrize("home, place", [(None, "~/.cache/kinolog"), ("~/kafka", "~/kafka/libs")])
def test_a_user_without_a_home_is_told_the_same(monkeypatch: pytest.MonkeyPatch, home: str | None, place: str) -> None:
    """As in containers with a user id that no file lists: it was a traceback."""

    def expanduser(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", expanduser)
    with pytest.raises(BrokerError, match=f"Kafka's jars are not in {place}") as caught:
        jvm.find_jars(home)
    assert caught.value.code == "jars-missing"


def test_an_installation_of_ones_own_is_used_in_a_fixed_order(tmp_path: Path) -> None:
    libs = tmp_path / "libs"
    libs.mkdir()
    for name in ("scala-library-2.13.jar", "kafka-server-4.3.1.jar", "a.jar", "README.txt"):
        (libs / name).touch()
    assert [Path(jar).name for jar in jvm.find_jars(str(tmp_path))] == [
        "a.jar",
        "kafka-server-4.3.1.jar",
        "scala-library-2.13.jar",
    ]


def test_an_archive_belongs_to_one_java_and_one_class_path() -> None:
    one = Jvm("java", "17.0.15", ("a.jar", "b.jar"))
    assert one.archive != Jvm("java", "17.0.16", ("a.jar", "b.jar")).archive
    assert one.archive != Jvm("java", "17.0.15", ("b.jar", "a.jar")).archive


def test_the_fetched_kafka_is_the_one_the_cache_is_named_after() -> None:
    pom = ET.parse(CHECKOUT / "deploy" / "kafka" / "pom.xml").getroot()
    name = "{http://maven.apache.org/POM/4.0.0}"
    versions = {d.findtext(f"{name}artifactId"): d.findtext(f"{name}version") for d in pom.iter(f"{name}dependency")}
    assert versions["kafka_2.13"] == jvm.KAFKA_VERSION
    assert jvm.cache_dir({"XDG_CACHE_HOME": "/cache"}) == Path(f"/cache/kinolog/kafka-{jvm.KAFKA_VERSION}")
    assert f"kinolog/kafka-{jvm.KAFKA_VERSION}\n" in (CHECKOUT / "Makefile").read_text()
