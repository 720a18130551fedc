"""Questions whose answers settle many faces at once, best first, and the decisions that the answers mean.

    review = Review(catalog, ...)                what `App.review` opens
    question = review.next()                     "these 14 faces: Anna?"
    review.answer(question, Answer("yes"))       a decision like any other: on record, and undone like any other

A program that is not there to be asked takes `open_questions`, and what `check_answers` makes of its answers goes to
`decide_all`.
"""
