"""Names that travel with photos: what metadata says about faces, in the words that other programs write it.

    model        values: an area, a region, and all that one file says
    orientation  boxes of the stored picture <-> boxes of the upright one
    rdf          XMP as a tree, bounded and without entities
    xmp          bytes -> PhotoRegions
    writing      PhotoRegions into the bytes of a packet, beside what others wrote
    restating    PhotoRegions into a packet that says the same
    stored       PhotoRegions <-> JSON, as the catalog keeps them

Values and bytes only: whose faces these are is decided in people/, and what was read and written is in the catalog.
"""
