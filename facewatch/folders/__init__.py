"""The per-person folders as a projection of the catalog: read the disk, plan, show, apply.

    check_people_folder(root, library_id, kind)
    disk = read_disk(root, wanted, links, folders, kind)
    todo = plan(wanted, links, folders, disk, kind)
    apply(todo, root, kind=kind, ledger=ledger)

`plan` is pure. `apply` does each action on disk first and records it in the ledger afterwards, so after a crash the
disk may be ahead of the record, never behind. What is about to be done is recorded before, so that the next run can
record what was done (see `recovery`). What a record calls ours is ours only while the entry still bears its stamp, and
only that is ever removed:

    symlink:<target>   hardlink:<inode>   copy:<size>:<mtime in ns>   reflink:<the same>

Nothing is done by path: every folder below the people folder is entered by its own name, never through a link, and
what is made in one that is moved away meanwhile is taken back (see `disk`). So nobody can lead the way out.

Whose is a directory that already has a person's name? If it is empty or holds nothing but that person's links: ours.
Otherwise a stranger's: links are added to it and taken out again, but it is never recorded, moved or removed. Any other
entry of that name (a file, a symlink even to a directory, another spelling) is avoided: "Anna (12)".

One more file is ours, the contact sheet (see `sheet`): a page that bears our mark.

Paths in records and plans are relative to the people folder, with "/", and keep undecodable bytes as surrogates.
"""
