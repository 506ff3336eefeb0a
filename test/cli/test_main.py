"""The command line's frame: the table of commands, errors as one line, exit statuses, lazy imports."""

import subprocess
import sys
import types

import pytest

from depth_pro_ros import __version__
from depth_pro_ros.cli import main as command_line
from depth_pro_ros.errors import SourceError


@pytest.fixture
def command(monkeypatch):
    """Return a function that registers `run` as the only command, `work`, with one option."""

    def register(run):
        module = types.ModuleType("work_command")
        module.add_arguments = lambda parser: parser.add_argument("--count", type=int, default=1)
        module.run = run
        monkeypatch.setitem(sys.modules, "work_command", module)
        monkeypatch.setattr(command_line, "COMMANDS", {"work": ("work_command", "works")})

    return register


def test_command_receives_its_arguments_and_gives_its_status(command):
    seen = []
    command(lambda args: seen.append(args.count) or 7)
    assert command_line.main(["work", "--count", "3"]) == 7
    assert seen == [3]


def test_error_of_this_package_is_one_line_and_2(command, capsys):
    def run(args):
        raise SourceError("the folder x holds no image")

    command(run)
    assert command_line.main(["work"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "depth_pro_ros: the folder x holds no image\n" and captured.out == ""


def test_interrupt_is_130(command):
    def run(args):
        raise KeyboardInterrupt

    command(run)
    assert command_line.main(["work"]) == 130


def test_a_defect_is_not_hidden(command):
    def run(args):
        raise ZeroDivisionError

    command(run)
    with pytest.raises(ZeroDivisionError):
        command_line.main(["work"])


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["work", "--count", "many"]])
def test_wrong_usage_is_2(command, argv, capsys):
    command(lambda args: 0)
    with pytest.raises(SystemExit) as stop:
        command_line.main(argv)
    assert stop.value.code == 2
    assert "usage: depth_pro_ros" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"depth_pro_ros {__version__}\n"


@pytest.mark.parametrize("name", command_line.COMMANDS)
def test_every_command_describes_itself(name, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: depth_pro_ros {name}" in capsys.readouterr().out


def test_module_help_lists_the_commands_without_heavy_imports():
    script = (
        "import runpy, sys\n"
        "sys.argv = ['depth_pro_ros', '--help']\n"
        "try:\n"
        "    runpy.run_module('depth_pro_ros', run_name='__main__')\n"
        "finally:\n"
        "    print('heavy:', [m for m in ('torch', 'cv2', 'numpy', 'PIL', 'rclpy') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert all(name in done.stdout for name in command_line.COMMANDS)
    assert "heavy: []" in done.stdout
