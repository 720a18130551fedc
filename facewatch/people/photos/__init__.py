"""Finding photos: who is on them, how many faces they show, when they were taken and where they are.

words     what somebody types -> words and their values
query     words -> PhotoQuery, with people and folders found in the catalog
complete  what a search may go on with while it is typed
finder    PhotoQuery -> photos, page by page; which of them are offline
"""
