"""Changes a tree of XMP: adds, replaces and removes elements, each indented like what stands around it."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from lxml import etree

from facewatch.regions import rdf
from facewatch.regions.rdf import RDF, Node

PREFIXES = MappingProxyType(
    {
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
        "http://www.metadataworkinggroup.com/schemas/regions/": "mwg-rs",
        "http://ns.adobe.com/xap/1.0/sType/Dimensions#": "stDim",
        "http://ns.adobe.com/xmp/sType/Area#": "stArea",
        "http://ns.microsoft.com/photo/1.2/": "MP",
        "http://ns.microsoft.com/photo/1.2/t/RegionInfo#": "MPRI",
        "http://ns.microsoft.com/photo/1.2/t/Region#": "MPReg",
        "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
        "http://www.digikam.org/ns/1.0/": "digiKam",
        "http://ns.microsoft.com/photo/1.0/": "MicrosoftPhoto",
        "http://ns.adobe.com/lightroom/1.0/": "lr",
        "http://ns.iview-multimedia.com/mediapro/1.0/": "mediapro",
        "http://purl.org/dc/elements/1.1/": "dc",
        "http://ns.acdsee.com/iptc/1.0/": "acdsee",
    }
)
"""The usual ones; another one that a file has already for the same namespace is kept."""

_DECLARED = "".join(f'\n    xmlns:{prefix}="{uri}"' for uri, prefix in PREFIXES.items() if prefix != "rdf")

EMPTY = f"""\
<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="facewatch">
 <rdf:RDF xmlns:rdf="{RDF[1:-1]}">
  <rdf:Description rdf:about=""{_DECLARED}/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()
"""A packet that says nothing."""


def element(name: str, content: str | Iterable[Node] = ()) -> Node:
    """Return a new element with a text, or with these children."""
    namespace = name[1:].partition("}")[0]
    made = etree.Element(name, nsmap={PREFIXES[namespace]: namespace} if namespace in PREFIXES else None)
    if isinstance(content, str):
        made.text = content
    else:
        made.extend(content)
    return made


def struct(name: str, content: Iterable[Node] = ()) -> Node:
    """Return a new struct with these fields."""
    made = element(name, content)
    made.set(f"{RDF}parseType", "Resource")
    return made


def array(name: str, kind: str, items: Iterable[str]) -> Node:
    """Return a new array of texts."""
    return element(name, [element(f"{RDF}{kind}", [element(f"{RDF}li", item) for item in items])])


def description(root: Node) -> Node:
    """Return the Description where new properties go; made where there is none."""
    found = next(root.iterchildren(rdf.DESCRIPTION), None)
    if found is None:
        found = element(rdf.DESCRIPTION)
        found.set(f"{RDF}about", "")
        append(root, found)
    return found


def append(parent: Node, child: Node) -> None:
    """Add a child as the last one, in lines of its own."""
    depth = sum(1 for _ in parent.iterancestors())
    etree.indent(child, " ", level=depth + 1)
    before = "\n" + " " * (depth + 1)
    if len(parent):
        parent[-1].tail = before
    else:
        parent.text = before
    parent.append(child)
    child.tail = "\n" + " " * depth


def replace_by(old: Node, new: Node) -> None:
    """Put an element in the place of another one."""
    etree.indent(new, " ", level=sum(1 for _ in old.iterancestors()))
    new.tail = old.tail
    old.getparent().replace(old, new)


def remove(node: Node) -> None:
    """Remove an element, and what stands between it and the next one."""
    before = node.getprevious()
    if node.getnext() is None and before is not None:
        before.tail = node.tail
    node.getparent().remove(node)


def serialised(root: Node) -> bytes:
    """Return the tree as a file, with what stands around it."""
    top = root.getroottree().getroot()
    nodes = [*reversed([*top.itersiblings(preceding=True)]), top, *top.itersiblings()]
    lines = [etree.tostring(node, encoding="unicode", with_tail=False) for node in nodes]
    return "\n".join([*lines, ""]).encode()
