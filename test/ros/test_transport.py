"""The Fast DDS profiles and a child's environment; the last test streams real images between two processes."""

import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.ros import transport
from depth_pro_ros.ros.images import encode_rgb

WIDTH, HEIGHT, FRAMES, RATE_HZ = 1920, 1080, 45, 15.0


def texts(path: Path, tag: str) -> list[str]:
    """Return the text of every element `tag` of a profile."""
    return [element.text for element in ElementTree.parse(path).iter(f"{{http://www.eprosima.com}}{tag}")]


@pytest.mark.parametrize("loopback", [False, True])
def test_the_profiles_hold_what_large_images_need(loopback):
    path = transport.profile_path(loopback)
    assert texts(path, "type") == ["SHM", "UDPv4"]
    assert texts(path, "segment_size") == [str(64 * 1024 * 1024)]
    assert texts(path, "useBuiltinTransports") == ["false"]
    defined = set(texts(path, "transport_id")[:2])
    assert set(texts(path, "transport_id")[2:]) == defined and len(defined) == 2


def test_only_the_loopback_profile_names_interfaces():
    assert texts(transport.profile_path(loopback=True), "address") == ["127.0.0.1"]
    assert texts(transport.profile_path(), "address") == []


def test_a_plain_environment_is_tuned():
    base = {"PATH": "/bin"}
    got = transport.tuned_environment(base)
    assert base == {"PATH": "/bin"} and got["PATH"] == "/bin"
    profile = str(transport.profile_path())
    assert got["FASTDDS_DEFAULT_PROFILES_FILE"] == profile
    assert int(got["MALLOC_MMAP_THRESHOLD_"]) > 1536 * 1536 * 16, "a full cloud must stay below the threshold"
    assert int(got["MALLOC_TRIM_THRESHOLD_"]) > int(got["MALLOC_MMAP_THRESHOLD_"])
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" not in got


@pytest.mark.parametrize(("distribution", "names"), [("humble", 2), ("jazzy", 2), ("kilted", 1), ("lyrical", 1)])
def test_the_older_name_of_the_profile_is_for_older_distributions(distribution, names):
    """Kilted prints a deprecation warning in every process that sees the older name."""
    got = transport.tuned_environment({"ROS_DISTRO": distribution}, loopback=True)
    assert [name in got for name in transport.PROFILE_VARIABLES] == [True, names == 2]


@pytest.mark.parametrize("variable", transport.PROFILE_VARIABLES)
def test_the_users_own_profile_stays(variable):
    base = {variable: "/etc/robot.xml", "MALLOC_TOP_PAD_": "1", "ROS_LOCALHOST_ONLY": "1"}
    got = transport.tuned_environment(base)
    assert base.items() <= got.items()
    assert [got[name] for name in transport.PROFILE_VARIABLES if name in got] == ["/etc/robot.xml"]


def test_loopback_overrides_whatever_would_open_the_machine():
    base = dict.fromkeys(transport.PROFILE_VARIABLES, "/etc/robot.xml")
    base |= {"ROS_DISTRO": "kilted", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_LOCALHOST_ONLY": "1"}
    got = transport.tuned_environment(base, loopback=True)
    found = [got.get(name) for name in transport.PROFILE_VARIABLES]
    assert found == [str(transport.profile_path(loopback=True)), None]
    assert got["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SYSTEM_DEFAULT" and "ROS_LOCALHOST_ONLY" not in got


def test_an_installed_package_finds_its_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(transport, "__file__", str(tmp_path / "lib" / "depth_pro_ros" / "ros" / "transport.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    with pytest.raises(ConfigurationError, match="fastdds.xml is in none of.*venv/share/depth_pro_ros/config"):
        transport.profile_path()
    ament = tmp_path / "install"
    (ament / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (ament / "share/ament_index/resource_index/packages/depth_pro_ros").touch()
    for prefix in (tmp_path / "venv", ament):
        (prefix / "share/depth_pro_ros/config").mkdir(parents=True)
        (prefix / "share/depth_pro_ros/config/fastdds.xml").touch()
    assert transport.profile_path() == tmp_path / "venv/share/depth_pro_ros/config/fastdds.xml"
    pytest.importorskip("ament_index_python")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(ament))
    assert transport.profile_path() == ament / "share/depth_pro_ros/config/fastdds.xml"


def talk() -> None:
    """Send FRAMES best-effort images at RATE_HZ once somebody listens, then say the end until nobody does."""
    rclpy.init()
    node = rclpy.create_node("talker")
    frames = node.create_publisher(Image, "frames", qos_profile_sensor_data)
    deadline = time.monotonic() + 30
    while frames.get_subscription_count() == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    rgb = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for index in range(FRAMES):
        frames.publish(encode_rgb(rgb, Header(frame_id=str(index))))
        time.sleep(1 / RATE_HZ)
    while frames.get_subscription_count() and time.monotonic() < deadline + 30:
        frames.publish(encode_rgb(rgb[:1, :1], Header(frame_id="end")))
        time.sleep(0.1)
    node.destroy_node()
    rclpy.try_shutdown()


def listen() -> None:
    """Count different whole frames until the end is said, and print their number."""
    rclpy.init()
    node = rclpy.create_node("listener")
    seen: set[str] = set()

    def receive(msg) -> None:
        if msg.header.frame_id == "end" or len(msg.data) == WIDTH * HEIGHT * 3:
            seen.add(msg.header.frame_id)

    node.create_subscription(Image, "frames", receive, qos_profile_sensor_data)
    deadline = time.monotonic() + 60
    while "end" not in seen and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.2)
    print("ended" if "end" in seen else "timed out", len(seen - {"end"}))
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.mark.slow
def test_best_effort_images_of_6_mb_arrive_between_processes():
    """With Fast DDS's defaults next to none of these arrive; with the profile all but a few do."""
    environment = transport.tuned_environment(os.environ, loopback=True)
    environment["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    environment["PYTHONPATH"] = str(Path(transport.__file__).parents[2])
    pipes = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    listener = subprocess.Popen([sys.executable, __file__, "listen"], **pipes)
    talker = subprocess.Popen([sys.executable, __file__, "talk"], **pipes)
    try:
        out, errors = listener.communicate(timeout=90)
        talker.communicate(timeout=60)
    finally:
        for process in (listener, talker):
            if process.poll() is None:
                process.kill()
                process.wait()
    assert listener.returncode == 0 and talker.returncode == 0, errors
    state, count = out.rsplit(maxsplit=1)
    assert state.endswith("ended") and int(count) >= 0.8 * FRAMES, out + errors


if __name__ == "__main__":
    {"talk": talk, "listen": listen}[sys.argv[1]]()
