"""Fills the tables of parameters, which `make parameters` writes into the README, into the pages that ask for them."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
TABLE = re.compile(r"<!-- parameters of (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)
MARK = re.compile(r"<!-- table of (\w+) -->")


def tables(readme: str) -> dict[str, str]:
    """Return node → Markdown table of what stands between the README's marks."""
    return dict(TABLE.findall(readme))


def filled(markdown: str, readme: str) -> str:
    """Return the page with every `<!-- table of NODE -->` replaced; raises KeyError for a node without a table."""
    known = tables(readme)
    return MARK.sub(lambda mark: known[mark.group(1)], markdown)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill a page in before it becomes HTML; ProperDocs and MkDocs call this."""
    return filled(markdown, README.read_text(encoding="utf-8"))
