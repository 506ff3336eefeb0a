"""`depth_pro_ros web` before the page is there: what it needs, and what it refuses. test/web drives the page."""

import importlib.util

import pytest

from depth_pro_ros.cli import main, web


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main.main(["web"]) == 2
    assert "pip install -r requirements/web.txt (the extra [web])" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--max-mb=0", "--max-megapixels=nan", "--max-range=-1", "--port=seven"])
def test_impossible_options_are_refused(option, capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(["web", option])
    assert caught.value.code == 2 and option.split("=")[0] in capsys.readouterr().err


def test_a_taken_port_is_refused_before_weights_are_loaded(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(web, "_load", lambda *args: pytest.fail("loaded"))
    with web.server.listen("127.0.0.1", 0) as listening:
        assert main.main(["web", "--port", str(listening.getsockname()[1])]) == 2
    assert "give another --port" in capsys.readouterr().err
