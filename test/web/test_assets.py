"""The page's own files: installed with the package, and asking no other machine for anything."""

import fnmatch
import re
from pathlib import Path

import pytest

from depth_pro_ros import web

ASSETS = ("page.css", "page.js")


@pytest.mark.parametrize("name", ASSETS)
def test_assets_are_installed(project, name):
    setup = (project / "setup.py").read_text(encoding="utf-8")
    patterns = re.search(r"package_data=\{NAME: \[(.*)\]\}", setup).group(1)
    assert any(fnmatch.fnmatch(f"web/{name}", pattern) for pattern in re.findall(r'"([^"]+)"', patterns))


@pytest.mark.parametrize("name", ASSETS)
def test_assets_name_no_address(name):
    text = (Path(web.__file__).parent / name).read_text(encoding="utf-8")
    assert text.strip() and not re.search(r"https?:|//[a-z]+\.|@import|url\(", text)
