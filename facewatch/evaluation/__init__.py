"""Evaluation: how well faces are assigned to people, measured on labelled photos.

    labelled = read_labels(folder)                      who is on which photo, as somebody wrote it down
    evaluation = evaluate(labelled, open_service, ...)  analyse, match, group in every way, measure
    facts(evaluation), report_page([evaluation])        for programs, for people

Photos are only ever read; catalogs are temporary. `calibration` derives an engine's thresholds.
"""
