"""The broker never touches data that is not its own."""

from pathlib import Path

import pytest

from streams.broker.files import Ports, require_same_cluster, take_lock, write_properties
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
