"""XMP as other programs write it: the same two faces, a pet and a point of focus, each in its own spelling.

Anna is in the box 10 %, 20 %, 30 %, 40 % of the stored picture, Ben in 60 %, 50 %, 20 %, 25 %, as x, y, w, h with the
corner; the picture has 800 x 600 pixels.
"""

from __future__ import annotations

from facewatch.regions.model import Area, Size

ANNA, BEN = Area(0.1, 0.2, 0.3, 0.4), Area(0.6, 0.5, 0.2, 0.25)
SIZE = Size(800, 600)

NAMESPACES = """\
    xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
    xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"
    xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"
    xmlns:MP="http://ns.microsoft.com/photo/1.2/"
    xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#"
    xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#"
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:mediapro="http://ns.iview-multimedia.com/mediapro/1.0/"
    xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/\""""


def packet(properties: str, attributes: str = "") -> bytes:
    """Return these properties as a packet of XMP."""
    return f"""\
<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="a test">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
{NAMESPACES}{attributes}>
{properties}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()


def bag(name: str, *words: str, kind: str = "Bag") -> str:
    items = "".join(f"<rdf:li>{word}</rdf:li>" for word in words)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


def mwg(*regions: str, applied: Size | None = SIZE) -> str:
    """Regions in the style of exiftool: no Description anywhere."""
    dimensions = (
        f'<mwg-rs:AppliedToDimensions rdf:parseType="Resource"><stDim:h>{applied.height}</stDim:h>'
        f"<stDim:unit>pixel</stDim:unit><stDim:w>{applied.width}</stDim:w></mwg-rs:AppliedToDimensions>"
        if applied
        else ""
    )
    return (
        f'<mwg-rs:Regions rdf:parseType="Resource">{dimensions}<mwg-rs:RegionList><rdf:Bag>{"".join(regions)}</rdf:Bag>'
        "</mwg-rs:RegionList></mwg-rs:Regions>"
    )


def region(area: Area, name: str = "", kind: str = "Face") -> str:
    """One region in the style of exiftool."""
    x, y = area.centre
    return (
        '<rdf:li rdf:parseType="Resource"><mwg-rs:Area rdf:parseType="Resource">'
        f"<stArea:h>{area.h}</stArea:h><stArea:unit>normalized</stArea:unit><stArea:w>{area.w}</stArea:w>"
        f"<stArea:x>{x}</stArea:x><stArea:y>{y}</stArea:y></mwg-rs:Area>"
        + (f"<mwg-rs:Name>{name}</mwg-rs:Name>" if name else "")
        + (f"<mwg-rs:Type>{kind}</mwg-rs:Type>" if kind else "")
        + "</rdf:li>"
    )


def microsoft(*regions: tuple[Area, str]) -> str:
    """Regions as Windows Live Photo Gallery writes them."""
    items = "".join(
        f'<rdf:li><rdf:Description MPReg:Rectangle="{", ".join(map(str, area.row))}"'
        + (f' MPReg:PersonDisplayName="{name}"' if name else "")
        + "/></rdf:li>"
        for area, name in regions
    )
    return (
        '<MP:RegionInfo><rdf:Description MPRI:DateRegionsValid="2011-01-01T00:00:00"><MPRI:Regions><rdf:Bag>'
        f"{items}</rdf:Bag></MPRI:Regions></rdf:Description></MP:RegionInfo>"
    )


EXIFTOOL = packet(
    mwg(region(ANNA, "Anna"), region(BEN, "Ben"), region(BEN, "Rex", "Pet"), region(ANNA, "", "Focus"), applied=SIZE)
    + "<tiff:Orientation>6</tiff:Orientation>"
)

LIGHTROOM = packet(
    """
   <mwg-rs:Regions rdf:parseType="Resource">
    <mwg-rs:AppliedToDimensions stDim:w="800" stDim:h="600" stDim:unit="pixel"/>
    <mwg-rs:RegionList>
     <rdf:Bag>
      <rdf:li>
       <rdf:Description mwg-rs:Rotation="0.00000" mwg-rs:Name="Anna" mwg-rs:Type="Face">
        <mwg-rs:Area stArea:h="0.4" stArea:w="0.3" stArea:x="0.25" stArea:y="0.4" stArea:unit="normalized"/>
       </rdf:Description>
      </rdf:li>
      <rdf:li>
       <rdf:Description mwg-rs:Rotation="0.00000" mwg-rs:Name="Ben" mwg-rs:Type="Face">
        <mwg-rs:Area stArea:h="0.25" stArea:w="0.2" stArea:x="0.7" stArea:y="0.625" stArea:unit="normalized"/>
       </rdf:Description>
      </rdf:li>
     </rdf:Bag>
    </mwg-rs:RegionList>
   </mwg-rs:Regions>"""
    + bag("lr:hierarchicalSubject", "People|Anna", "places|beach")
    + bag("dc:subject", "Anna", "beach"),
    ' xmp:Rating="4"',
)

DIGIKAM = packet(
    """
   <mwg-rs:Regions>
    <rdf:Description>
     <mwg-rs:AppliedToDimensions><rdf:Description stDim:w="800" stDim:h="600" stDim:unit="pixel"/>
     </mwg-rs:AppliedToDimensions>
     <mwg-rs:RegionList>
      <rdf:Bag>
       <rdf:li>
        <rdf:Description mwg-rs:Name="Anna" mwg-rs:Type="Face">
         <mwg-rs:Area><rdf:Description stArea:x="0.25" stArea:y="0.4" stArea:w="0.3" stArea:h="0.4"
          stArea:unit="normalized"/></mwg-rs:Area>
        </rdf:Description>
       </rdf:li>
       <rdf:li>
        <rdf:Description mwg-rs:Name="Ben" mwg-rs:Type="Face">
         <mwg-rs:Area><rdf:Description stArea:x="0.7" stArea:y="0.625" stArea:w="0.2" stArea:h="0.25"
          stArea:unit="normalized"/></mwg-rs:Area>
        </rdf:Description>
       </rdf:li>
      </rdf:Bag>
     </mwg-rs:RegionList>
    </rdf:Description>
   </mwg-rs:Regions>"""
    + microsoft((ANNA, "Anna"), (BEN, "Ben"))
    + bag("digiKam:TagsList", "People/Anna", "People/Ben", "beach", kind="Seq")
    + bag("MicrosoftPhoto:LastKeywordXMP", "People/Anna", "People/Ben", "beach")
    + bag("lr:hierarchicalSubject", "People|Anna", "People|Ben", "beach")
    + bag("mediapro:CatalogSets", "People|Anna", "People|Ben", "beach")
    + bag("dc:subject", "Anna", "Ben", "beach"),
    ' acdsee:Categories="&lt;Categories&gt;&lt;Category Assigned=&quot;0&quot;&gt;People&lt;Category'
    " Assigned=&quot;1&quot;&gt;Anna&lt;/Category&gt;&lt;Category Assigned=&quot;1&quot;&gt;Ben&lt;/Category&gt;&lt;"
    '/Category&gt;&lt;Category Assigned=&quot;1&quot;&gt;beach&lt;/Category&gt;&lt;/Categories&gt;"',
)

WINDOWS = packet(microsoft((ANNA, "Anna"), (BEN, "Ben")))

OSXPHOTOS = packet(
    mwg(region(ANNA, "Anna"), region(BEN, "Ben"))
    + microsoft((ANNA, "Anna"), (BEN, "Ben"))
    + bag("Iptc4xmpExt:PersonInImage", "Anna", "Ben", "Carla")
)
