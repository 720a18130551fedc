"""The local page: a door for browsers on this machine, as thin as the commands. One file a feature holds its pages and
its part of the JSON API (/api/v1); rules are in people/, sentences and templates in presentation/.

server       the site from its parts; starts and stops it
access       the catalog for many requests at once: decisions one after another, reading beside them
security     who may ask, and what a browser may do with the answers
media        faces and photos as pictures
"""
