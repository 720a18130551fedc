"""facewatch watches a photo library, finds who is who, and keeps a folder of links for every person."""

__version__ = "0.1.0"
