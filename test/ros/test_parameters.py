"""Parameters as data: what a table refuses, and that documents and declaration are the same."""

import math

import pytest
import yaml

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.ros import parameter_docs
from depth_pro_ros.ros.parameters import Parameter, markdown_table, yaml_file

RATE = Parameter("rate", 5.0, "Frames", "Hz", 0.0, 30.0, live=True)
COUNT = Parameter("count", 3, "How many", minimum=1)
MODE = Parameter("mode", "a", "Which", choices=("a", "b"))
FLAG = Parameter("flag", True, "Whether")
NAMES = Parameter("names", [""], "Who")


@pytest.mark.parametrize(
    ("parameter", "given", "kept"),
    [(RATE, 10, 10.0), (RATE, 0.0, 0.0), (COUNT, 1, 1), (MODE, "b", "b"), (FLAG, False, False)]
    + [(NAMES, ["a", "b"], ["a", "b"]), (NAMES, None, [])],  # rcl reads an empty array as nothing
)
def test_good_values_keep_the_type(parameter, given, kept):
    value = parameter.convert(given)
    assert value == kept and type(value) is type(kept)


@pytest.mark.parametrize(
    ("parameter", "given", "words"),
    [
        (RATE, 31.0, "allowed: 0 to 30"),
        (RATE, math.nan, "finite"),
        (RATE, "10", "it takes type double"),
        (RATE, True, "it takes type double"),
        (RATE, None, "it takes type double"),
        (COUNT, 0, "allowed: at least 1"),
        (COUNT, 2.0, "it takes type integer"),
        (MODE, "c", "allowed: a | b"),
        (FLAG, 1, "it takes type bool"),
        (NAMES, "a", "it takes type string array"),
        (NAMES, ["a", 1], "it takes type string array"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(parameter, given, words):
    with pytest.raises(ConfigurationError) as error:
        parameter.convert(given)
    assert words in str(error.value) and f"'{parameter.name}'" in str(error.value)


def test_documents_of_a_table():
    assert markdown_table([RATE]).splitlines()[2] == "| `rate` | double | `5.0` | 0 to 30 | yes | Frames [Hz] |"
    text = yaml_file("node", [RATE, MODE, FLAG, NAMES])
    values = {"rate": 5.0, "mode": "a", "flag": True, "names": [""]}
    assert yaml.safe_load(text) == {"/**/node": {"ros__parameters": values}}
    assert "# Frames (0 to 30; Hz; may change while running)" in text


@pytest.mark.parametrize("node", parameter_docs.TABLES)
def test_shipped_parameter_files_are_the_declared_defaults(node, project):
    file, table = parameter_docs.TABLES[node]
    loaded = yaml.safe_load((project / file).read_text())[f"/**/{node}"]["ros__parameters"]
    assert loaded == {parameter.name: parameter.default for parameter in table}
    assert all(type(loaded[p.name]) is type(p.default) for p in table)


def test_the_readme_has_the_tables(project):
    readme = (project / "README.md").read_text()
    assert parameter_docs.with_tables(readme) == readme, "run `make parameters`"
    assert all(f"| `{p.name}` |" in readme for _, table in parameter_docs.TABLES.values() for p in table)


def test_every_default_is_allowed():
    for _, table in parameter_docs.TABLES.values():
        assert [parameter.convert(parameter.default) for parameter in table] == [p.default for p in table]
        assert len({parameter.name for parameter in table}) == len(table)
