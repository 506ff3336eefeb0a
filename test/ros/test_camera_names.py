"""Names of several cameras: which are taken and which are refused."""

import pytest

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.ros.camera_names import camera_names


@pytest.mark.parametrize(
    ("given", "names"),
    [([], [""]), ([""], [""]), (["front"], ["front"]), (["a", "", "b_2"], ["a", "b_2"])],
)
def test_names_are_namespaces_and_none_is_the_only_camera(given, names):
    assert camera_names(given) == names


@pytest.mark.parametrize("name", ["1st", "a/b", "/a", "a__b", "a_", "_a", "a b", "ä", "a-b", "~"])
def test_what_ros_would_not_take_for_a_namespace_is_refused(name):
    with pytest.raises(ConfigurationError, match="one level of a namespace"):
        camera_names(["front", name])


def test_two_cameras_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match="a name of its own"):
        camera_names(["front", "left", "front"])
