"""What a node tells of itself: frames that went out, and work whose depth does not go out by itself."""

from diagnostic_msgs.msg import DiagnosticStatus

from depth_pro_ros.ros.health import Health


def values(health, state="active"):
    return {pair.key: pair.value for pair in health.status(state).values}


def test_published_frames_are_counted_with_their_stages_and_age():
    health = Health("node", "hardware")
    for stage, age in ((1.0, 10.0), (3.0, 30.0)):
        health.published({"decode": stage}, age)
    found = values(health)
    assert found["published"] == "2" and found["decode_ms_p50"] == "2.0" and found["age_ms_p50"] == "20.0"


def test_work_that_is_not_published_by_itself_shows_its_stages_only():
    health = Health("node", "hardware")
    health.worked({"network": 500.0})
    found = values(health)
    assert found["network_ms_p50"] == "500.0" and found["published"] == "0" and "age_ms_p50" not in found


def test_a_problem_stays_until_a_frame_goes_out():
    health = Health("node", "hardware")
    health.problem("uncarried", "keyframes only: no odometry")
    health.worked({"network": 500.0})
    status = health.status("active")
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "keyframes only: no odometry")
    health.published({}, 1.0)
    assert health.status("active").level == DiagnosticStatus.OK
