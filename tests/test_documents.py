"""README and docs: short where a door is wanted, and what they link to and name is there."""

from __future__ import annotations

import re
from pathlib import Path

import documents
import pytest

ROOT = documents.ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def links_of(name: str) -> list[str]:
    return LINK.findall(BLOCK.sub("", documents.text_of(name)))


def anchors_of(text: str) -> set[str]:
    """Return what a link behind a # may say, as it is derived from headings."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", documents.names())
def test_what_a_document_links_to_is_there(name: str) -> None:
    for link in links_of(name):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.is_file(), f"{name}: {link}"
        assert not anchor or anchor in anchors_of(target.read_text(encoding="utf-8")), f"{name}: {link}"


def test_readme_leads_to_every_document() -> None:
    reached, at_hand = set[str](), ["README.md"]
    while at_hand:
        name = at_hand.pop()
        reached.add(name)
        linked = {f"docs/{Path(link).name}" for link in links_of(name) if link.endswith(".md")}
        at_hand += linked - reached
    assert reached == set(documents.names())


def test_readme_is_a_door_of_two_screens_with_small_pictures() -> None:
    assert len(documents.text_of("README.md").splitlines()) <= 250
    pictures = [ROOT / link for link in links_of("README.md") if link.endswith(".png")]
    assert len(pictures) == 4
    assert sum(path.stat().st_size for path in pictures) < 300_000


@pytest.mark.parametrize("name", documents.names())
def test_every_module_that_a_document_names_is_there(name: str) -> None:
    for path in re.findall(r"(?<![\w/.~-])(?:facewatch|tests)/[a-z_0-9/]+(?:\.[a-z]+)?", documents.text_of(name)):
        assert (ROOT / path).exists(), f"{name}: {path}"


SOURCES = sorted(
    path
    for folder in ("facewatch", "scripts", "tests")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in ("", ".py") and path.is_file() and "__pycache__" not in path.parts
)


def test_every_document_that_the_code_names_is_there() -> None:
    for path in [*SOURCES, ROOT / "facewatch.toml", ROOT / "compose.yaml", ROOT / "Dockerfile"]:
        for name in re.findall(r"\bdocs/[\w-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{path.relative_to(ROOT)}: {name}"


def test_every_constant_of_the_calibration_notes_is_where_they_say() -> None:
    notes = documents.text_of("docs/evaluation.md").partition("## Calibration notes")[2]
    sections = re.split(r"^### ", notes, flags=re.MULTILINE)[1:]
    assert sections
    for section in sections:
        [path] = re.findall(r"`(facewatch/[\w/]+\.py)`", section.splitlines()[0])
        code = (ROOT / path).read_text(encoding="utf-8")
        named = " ".join(re.findall(r"^- ((?:`[^`]+`(?:, )?)+):", section, re.MULTILINE))
        assert named, path
        for name in re.findall(r"[A-Za-z_]\w+", named):
            assert re.search(rf"\b_?{name}\b", code), f"{path} has no {name}"


def test_an_anchor_is_derived_as_from_a_heading(tmp_path: Path) -> None:
    assert anchors_of("# Is all well? `facewatch doctor`\n\n```\n# no heading\n```\n") == {
        "is-all-well-facewatch-doctor"
    }
