"""`download` against a loopback server that plays Apple's server and the hub: licence, checks, resuming, refusals."""

import argparse
import dataclasses
import hashlib
import io
import json
import re
import sys

import pytest
import torch
from inference.hub_server import HubServer, Served

from depth_pro_ros.cli import download
from depth_pro_ros.cli import main as command_line
from depth_pro_ros.errors import CheckpointError, ConfigurationError
from depth_pro_ros.inference import transfer
from depth_pro_ros.inference.sources import SOURCES, Licence, Source
from depth_pro_ros.inference.weights import locate, open_weights
from depth_pro_ros.network import PRESETS, build, save

TEXT = "You may do as you like, says the licence of the test."
REPOSITORY = "owner/name"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Return the content of each file: of Apple's layout, and of transformers'."""
    folder = tmp_path_factory.mktemp("checkpoints")
    network = build(PRESETS["micro"], seed=7)
    save(network, folder / "apple.pt", "apple")
    save(network, folder / "hf", "transformers")
    return {path.name: path.read_bytes() for path in (folder / "apple.pt", *(folder / "hf").iterdir())}


@pytest.fixture
def server(checkpoints, monkeypatch, tmp_path):
    """Return the server behind both sources, which hold the preset micro, and an empty cache folder."""
    with HubServer() as server:
        server.paths["/files/micro.pt"] = Served(checkpoints["apple.pt"])
        server.paths["/LICENSE"] = Served(TEXT.encode())
        server.add_small(REPOSITORY, "config.json", checkpoints["config.json"])
        server.add_large(REPOSITORY, "model.safetensors", checkpoints["model.safetensors"])
        licence = Licence("Licence of the test", f"{server.address}/LICENSE", "anything goes")
        apple = {"micro.pt": sha256(checkpoints["apple.pt"])}
        hub = {"config.json": None, "model.safetensors": sha256(checkpoints["model.safetensors"])}
        monkeypatch.setitem(
            SOURCES, "apple", Source(apple, licence, "micro.pt", address=f"{server.address}/files", preset="micro")
        )
        monkeypatch.setitem(
            SOURCES, "transformers", Source(hub, licence, "micro", repository=REPOSITORY, preset="micro")
        )
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        monkeypatch.setattr(transfer.time, "sleep", lambda seconds: None)
        yield server


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def run(*argv):
    parser = argparse.ArgumentParser()
    download.add_arguments(parser)
    return download.run(parser.parse_args(argv))


def cached(tmp_path):
    folder = tmp_path / "depth_pro_ros"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_apples_file_lands_where_nodes_look_for_it(server, tmp_path, capsys):
    assert run("apple", "--accept-license") == 0
    captured = capsys.readouterr()
    assert TEXT in captured.err and "Licence of the test" in captured.err
    assert str(tmp_path / "depth_pro_ros" / "micro.pt") in captured.out and "weights 'micro'" in captured.out
    assert cached(tmp_path) == ["micro.pt", "micro.pt.LICENSE"]
    assert (tmp_path / "depth_pro_ros" / "micro.pt.LICENSE").read_text() == TEXT
    loaded = open_weights("micro", torch.float32, "cpu")
    assert loaded.trained and locate("micro") == tmp_path / "depth_pro_ros" / "micro.pt"


def test_transformers_layout_comes_through_the_hub(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    assert run("transformers", "--accept-license", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["path"] == str(tmp_path / "depth_pro_ros" / "micro") and record["fetched"] is True
    assert cached(tmp_path) == ["micro/LICENSE", "micro/config.json", "micro/model.safetensors"]
    assert open_weights("micro", torch.float32, "cpu").trained
    tokens = {path: headers.get("Authorization") for _, path, headers in server.requests}
    assert tokens[f"/{REPOSITORY}/resolve/main/model.safetensors"] == "Bearer hf_of_the_test"
    assert tokens["/store/model.safetensors"] is None


@pytest.mark.parametrize("source, path", [("apple", "/files/micro.pt"), ("transformers", "/store/model.safetensors")])
def test_a_download_that_broke_off_is_continued_by_the_next_call(server, tmp_path, source, path):
    server.paths[path].cuts = [100_000] + [0] * transfer.ATTEMPTS
    with pytest.raises(CheckpointError, match="run the same command again to continue"):
        run(source, "--accept-license")
    assert not any(name.startswith("micro") for name in cached(tmp_path)), "half a file under its final name"
    assert run(source, "--accept-license") == 0
    assert server.asked(path)[-1] == "bytes=100000-"
    assert open_weights("micro", torch.float32, "cpu").trained


@pytest.mark.parametrize("source, path", [("apple", "/files/micro.pt"), ("transformers", "/store/model.safetensors")])
def test_a_corrupt_file_is_refused_and_removed(server, tmp_path, source, path):
    body = bytearray(server.paths[path].body)
    body[len(body) // 2] ^= 1
    server.paths[path].body = bytes(body)
    with pytest.raises(CheckpointError, match="has the checksum.*removed"):
        run(source, "--accept-license")
    assert [name for name in cached(tmp_path) if "config.json" not in name] == []


def test_a_small_file_of_the_hub_is_checked_too(server, tmp_path):
    path = f"/{REPOSITORY}/resolve/main/config.json"
    server.paths[path].body = server.paths[path].body[:-1] + b" "
    with pytest.raises(CheckpointError, match="config.json' has the checksum"):
        run("transformers", "--accept-license")
    assert cached(tmp_path) == []


def test_what_is_no_checkpoint_or_another_one_is_removed(server, tmp_path, monkeypatch):
    web_page = b"<html>Please log in to the hotel's network</html>"
    server.paths["/files/micro.pt"].body = web_page
    with pytest.raises(CheckpointError, match="was not opened"):
        run("apple", "--accept-license", "--sha256", sha256(web_page))
    assert cached(tmp_path) == []
    save(build(PRESETS["tiny"].published()), tmp_path / "other.pt", "apple")
    other = (tmp_path / "other.pt").read_bytes()
    server.paths["/files/micro.pt"].body = other
    with pytest.raises(CheckpointError, match="holds preset 'custom', not 'micro': it was removed"):
        run("apple", "--accept-license", "--sha256", sha256(other))
    assert cached(tmp_path) == []


def test_a_file_that_the_hub_replaced_needs_trust(server, checkpoints, tmp_path):
    newer = save(build(PRESETS["micro"], seed=8), tmp_path / "newer", "transformers") / "model.safetensors"
    server.add_large(REPOSITORY, "model.safetensors", newer.read_bytes())
    digest = sha256(newer.read_bytes())
    with pytest.raises(CheckpointError, match=f"add --sha256 {digest}"):
        run("transformers", "--accept-license")
    assert server.asked("/store/model.safetensors") == []
    assert run("transformers", "--accept-license", "--sha256", digest) == 0


def test_a_mirror_takes_the_sources_place(server, tmp_path):
    server.paths["/mirror/micro.pt"] = server.paths.pop("/files/micro.pt")
    assert run("apple", "--accept-license", "--url", f"{server.address}/mirror/") == 0


def test_nothing_is_fetched_without_consent(server, tmp_path, capsys):
    with pytest.raises(ConfigurationError, match="--accept-license"):
        run("apple")
    assert TEXT in capsys.readouterr().err
    assert server.asked("/files/micro.pt") == []


@pytest.mark.parametrize(
    "answer, agreed", [("yes\n", True), ("YES\n", True), ("no\n", False), ("\n", False), ("", False)]
)
def test_a_person_is_asked(server, monkeypatch, answer, agreed):
    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    if agreed:
        assert run("apple") == 0
    else:
        with pytest.raises(ConfigurationError, match="was not accepted"):
            run("apple")
    assert bool(server.asked("/files/micro.pt")) is agreed


def test_a_licence_that_cannot_be_shown_needs_the_flag(server, monkeypatch, capsys):
    del server.paths["/LICENSE"]
    terminal = io.StringIO("yes\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    with pytest.raises(ConfigurationError, match=f"read it at {server.address}/LICENSE"):
        run("apple")
    assert run("apple", "--accept-license") == 0


def test_what_is_there_is_checked_and_kept_or_fetched_by_force(server, tmp_path, capsys):
    run("apple", "--accept-license")
    assert run("apple") == 0, "no licence is needed for what is there"
    assert "already there" in capsys.readouterr().out and server.asked("/files/micro.pt") == [""]
    path = tmp_path / "depth_pro_ros" / "micro.pt"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="add --force"):
        run("apple")
    assert run("apple", "--accept-license", "--force") == 0


def test_the_layout_that_comes_first_is_named(server, capsys):
    run("apple", "--accept-license")
    capsys.readouterr()
    run("transformers", "--accept-license")
    assert re.search(r"but .*micro\.pt comes first", capsys.readouterr().out)


@pytest.mark.parametrize("source", ["apple", "transformers"])
def test_offline_says_where_to_put_the_file_by_hand(server, monkeypatch, tmp_path, source):
    with HubServer() as gone:
        nowhere = gone.address
    monkeypatch.setenv("HF_ENDPOINT", nowhere)
    address = nowhere if source == "apple" else ""
    monkeypatch.setitem(SOURCES, source, dataclasses.replace(SOURCES[source], address=address))
    with pytest.raises(CheckpointError, match="cannot be reached.*on a machine with a network fetch") as refusal:
        run(source, "--accept-license")
    assert f"copy it to {tmp_path / 'depth_pro_ros'}" in str(refusal.value)


def test_a_hub_that_refuses_is_told(server):
    del server.paths[f"/{REPOSITORY}/resolve/main/config.json"]
    with pytest.raises(CheckpointError, match="answered 404"):
        run("transformers", "--accept-license")


def test_without_huggingface_hub_the_other_source_is_named(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match="pip install huggingface_hub, or take the source apple"):
        run("transformers", "--accept-license")


def test_errors_are_one_line_and_status_2(server, capsys):
    server.paths["/files/micro.pt"].status = 404
    assert command_line.main(["download", "apple", "--accept-license"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("depth_pro_ros: 127.0.0.1:")


def test_the_published_sources_are_complete():
    for source in SOURCES.values():
        assert re.fullmatch(r"[0-9a-f]{64}", [*source.files.values()][-1]), "the largest file needs a checksum"
        assert bool(source.address) != bool(source.repository) and source.licence.url.startswith("https://")
        assert source.preset == "depth_pro" and source.target in ("depth_pro.pt", "depth_pro")
    with pytest.raises(argparse.ArgumentTypeError, match="64 hexadecimal"):
        download.checksum("abc")
