"""The broker never touches data that is not its own."""

from pathlib import Path

import pytest

from streams.broker import files
from streams.broker.files import Ports, choose_ports, require_same_cluster, take_lock, write_properties
from streams.broker.jvm import BrokerError


def _log_of(folder: Path, cluster: str, node: int = 1) -> Path:
    folder.mkdir()
    (folder / "meta.properties").write_text(f"#\n#Sun Nov 22\ncluster.id={cluster}\nversion=1\nnode.id={node}\n")
    return folder


def test_a_log_of_another_cluster_or_node_is_refused(tmp_path: Path) -> None:
    assert require_same_cluster(_log_of(tmp_path / "own", "A"), "A")
    for name, cluster, node in (("other-cluster", "B", 1), ("other-node", "A", 2)):
        with pytest.raises(BrokerError, match=f"node {node} of cluster {cluster}") as caught:
            require_same_cluster(_log_of(tmp_path / name, cluster, node), "A")
        assert caught.value.code == "foreign-data"


def test_a_log_without_a_mark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(BrokerError, match=r"cluster \?"):
        require_same_cluster(tmp_path / "log", "A")


def test_no_log_is_not_an_error(tmp_path: Path) -> None:
    assert not require_same_cluster(tmp_path / "log", "A")


async def test_a_folder_that_something_else_filled_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(BrokerError, match="not made by kinolog") as caught:
        await take_lock(tmp_path)
    assert caught.value.code == "foreign-data"
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


async def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    with await take_lock(tmp_path / "kafka"), pytest.raises(BrokerError, match=r"in use by process \d+") as caught:
        await take_lock(tmp_path / "kafka")
    assert caught.value.code == "data-dir-in-use"
    (await take_lock(tmp_path / "kafka")).close()


def test_the_node_listens_on_loopback_only(tmp_path: Path) -> None:
    write_properties(tmp_path / "server.properties", Ports(1, 2, 3), {})
    lines = (tmp_path / "server.properties").read_text().splitlines()
    assert "listeners=PLAINTEXT://127.0.0.1:1,INTERNAL://127.0.0.1:3,CONTROLLER://127.0.0.1:2" in lines


def test_its_listeners_never_get_the_same_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A free port was drawn for each, at times the same one: Kafka did not start."""
    monkeypatch.setattr(files, "is_free", lambda _: True)
    drawn = iter([20_001, 20_001, 20_001, 20_002, 20_001, 20_002, 20_003])
    monkeypatch.setattr(files, "free_port", lambda: next(drawn))
    assert choose_ports(tmp_path, 0, anonymous=True) == Ports(20_001, 20_002, 20_003)
    assert choose_ports(tmp_path, 0, anonymous=True) == Ports(20_001, 20_002, 20_003)
    drawn = iter([20_004])
    assert choose_ports(tmp_path, 20_003, anonymous=True) == Ports(20_003, 20_002, 20_004)
