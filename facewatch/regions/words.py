"""The names in all the places besides regions where programs look for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from lxml import etree

from facewatch.errors import RegionsError
from facewatch.regions import rdf
from facewatch.regions.editing import append, array, description, element, remove
from facewatch.regions.model import PEOPLE, Place, names_person, tag_of
from facewatch.regions.rdf import RDF, Node
from facewatch.regions.xmp import PLACES, categories, category_path


def set_names(root: Node, names: Sequence[str], retired: Collection[str]) -> None:
    """Let all places have these names, and none of those; what has them already is not touched."""
    for place in Place:
        change = _set_categories if place is Place.CATEGORIES else _set_words
        change(root, place, names, retired)


def _set_words(root: Node, place: Place, names: Sequence[str], retired: Collection[str]) -> None:
    tags = [tag_of(place, name) for name in names]
    values = list(rdf.properties(root, PLACES[place]))
    items = [item for value in values for item in rdf.items(value)]
    stale = [item for item in items if any(names_person(place, rdf.text(item), name) for name in retired)]
    there = {rdf.text(item) for item in items}
    missing = [tag for tag in tags if tag not in there]
    if not (stale or missing):
        return
    bag = next((bag for value in values if not isinstance(value, str) for bag in value.iterchildren(*_ARRAYS)), None)
    if bag is None:  # a mere text, or nothing
        kept = [rdf.text(item) for item in items if item not in stale]
        _drop(root, PLACES[place])
        kind = "Seq" if place is Place.TAGS_LIST else "Bag"
        if kept or missing:
            append(description(root), array(PLACES[place], kind, [*kept, *missing]))
        return
    for item in stale:
        remove(item)
    for tag in missing:
        append(bag, element(f"{RDF}li", tag))
    if not len(bag):
        _drop(root, PLACES[place])


_ARRAYS = (f"{RDF}Bag", f"{RDF}Seq", f"{RDF}Alt")


def _drop(root: Node, name: str) -> None:
    """Remove a property wherever it is."""
    for one in root.iterchildren(rdf.DESCRIPTION):
        one.attrib.pop(name, None)
        for child in list(one.iterchildren(name)):
            remove(child)


def _set_categories(root: Node, place: Place, names: Sequence[str], retired: Collection[str]) -> None:
    """The same for ACDSee's, XML in a text; one that is damaged is let be."""
    text = next((rdf.text(value) for value in rdf.properties(root, PLACES[place])), "")
    there = list(categories(text))
    tags = [tag_of(place, name) for name in names]
    stale = {word for word in there if any(names_person(place, word, name) for name in retired)}
    if not stale and all(tag in there for tag in tags):
        return
    try:
        tree = rdf.tree(text.encode()) if text else etree.Element("Categories")
    except RegionsError:
        return
    _clear(tree, stale)
    _assign(tree, [tag.removeprefix(f"{PEOPLE}/") for tag in tags if tag not in there])
    _drop(root, PLACES[place])
    if len(tree):
        append(description(root), element(PLACES[place], etree.tostring(tree, encoding="unicode")))


def categories_of(paths: Iterable[str]) -> str:
    """Return categories of ACDSee as the text that stands for them: what `xmp.categories` reads."""
    tree = etree.Element("Categories")
    for path in paths:
        above = tree
        for name in path.split("/"):
            there = next((one for one in above.iterchildren("Category") if (one.text or "").strip() == name), None)
            if there is None:
                there = etree.SubElement(above, "Category", Assigned="0")
                there.text = name
            above = there
        above.set("Assigned", "1")
    return str(etree.tostring(tree, encoding="unicode"))


def _clear(tree: Node, stale: Collection[str]) -> None:
    """Remove these categories, and the one above them where nothing is left in it."""
    for category in list(tree.iter("Category")):
        if category.get("Assigned") == "1" and category_path(category) in stale:
            above = category.getparent()
            category.set("Assigned", "0")
            for empty in (category, above):
                if empty is not tree and not len(empty) and empty.get("Assigned") == "0":
                    remove(empty)


def _assign(tree: Node, names: Sequence[str]) -> None:
    if not names:
        return
    above = next((one for one in tree.iterchildren("Category") if (one.text or "").strip() == PEOPLE), None)
    if above is None:
        above = etree.SubElement(tree, "Category", Assigned="0")
        above.text = PEOPLE
    for name in names:
        etree.SubElement(above, "Category", Assigned="1").text = name
