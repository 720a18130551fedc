"""XMP as a tree of RDF: parsed with bounds, and read whichever of its spellings a program has chosen.

A struct may be written as a nested rdf:Description (exiv2, digiKam), as parseType="Resource" (exiftool) or as mere
attributes (Adobe); a property of a Description as an element or as an attribute. Prefixes mean nothing, namespaces do.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import TypeAlias

from lxml import etree

from facewatch.errors import RegionsError

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
XML = "{http://www.w3.org/XML/1998/namespace}"
META = "{adobe:ns:meta/}"

MAX_BYTES = 16_777_216
"""Of one packet of XMP; the largest that editors write hold some megabytes of history or of a preview."""
MAX_DEPTH = 64
"""How deep elements may lie in each other; regions with all their parts lie 12 deep."""

Node: TypeAlias = etree._Element
Value: TypeAlias = str | Node
"""What a property has: a text that stood in an attribute, or an element."""


def parse(data: bytes) -> Node:
    """Return the rdf:RDF of a packet of XMP; its tree also holds what stands around it.

    Raises:
        RegionsError: it is no XMP, is damaged, too large or too deep.
    """
    root = tree(data)
    found = next(root.iter(f"{RDF}RDF"), None)
    if found is None:
        raise RegionsError("no XMP but another kind of XML")
    return found


def tree(data: bytes) -> Node:
    """Return the root of some XML. Nothing is fetched, no entity is replaced, and a document type is refused.

    Raises:
        RegionsError: it is damaged, too large or too deep.
    """
    if len(data) > MAX_BYTES:
        raise RegionsError(f"more than {MAX_BYTES // 1_048_576} MB of XMP")
    content = _as_utf8(data)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise RegionsError("XMP with a document type, which nothing honest needs")
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise RegionsError(f"damaged XMP ({str(error)[:120]})") from error
    if _depth(root) > MAX_DEPTH:
        raise RegionsError(f"XMP with elements more than {MAX_DEPTH} deep in each other")
    return root


_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def _as_utf8(data: bytes) -> bytes:
    """The packet without what stands before and behind its XML: a mark of the byte order, a chunk's name, padding."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            data = data[len(mark) :].decode(encoding, errors="replace").encode()
    start, end = data.find(b"<"), data.rfind(b">")
    if start < 0 or end < start:
        raise RegionsError("empty XMP")
    return data[start : end + 1]


def _depth(node: Node) -> int:
    deepest = depth = 0
    for event, _ in etree.iterwalk(node, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest


def properties(rdf: Node, name: str) -> Iterator[Value]:
    """Yield what a property has at the top, in each Description that has it; `name` is "{namespace}local"."""
    for description in rdf.iterchildren(f"{RDF}Description"):
        if name in description.attrib:
            yield str(description.attrib[name])
        yield from description.iterchildren(name)


def fields(value: Value) -> dict[str, Value]:
    """Return the fields of a struct by their names."""
    if isinstance(value, str):
        return {}
    found: dict[str, Value] = {}
    for node in (value, *value.iterchildren(f"{RDF}Description")):
        found |= {str(k): str(v) for k, v in node.attrib.items() if not str(k).startswith((RDF, XML))}
        found |= {str(child.tag): child for child in node.iterchildren(etree.Element) if child.tag != DESCRIPTION}
    return found


DESCRIPTION = f"{RDF}Description"


def items(value: Value) -> list[Value]:
    """Return the items of a bag, a sequence or of alternatives; a plain text is a list of one."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    for kind in ("Bag", "Seq", "Alt"):
        for array in value.iterchildren(f"{RDF}{kind}"):
            return list(array.iterchildren(f"{RDF}li"))
    return [value] if text(value) and not len(value) else []


def text(value: Value | None) -> str:
    """Return a value as text, without blanks around it; of alternatives the first, of anything else ""."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    for alternative in value.iterfind(f"{RDF}Alt/{RDF}li"):
        return text(alternative)
    return (value.text or "").strip()
