"""Runs an evaluation: analyses the photos, finds the labelled faces, judges every way of working."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.catalog import display
from facewatch.cohort import Cohort
from facewatch.cores import available_cores
from facewatch.errors import FacewatchError
from facewatch.evaluation.analyses import Analyses, analyse_photos, key_of, load_analyses, save_analyses
from facewatch.evaluation.identification import Identification, facts_of, identification
from facewatch.evaluation.labelled import Labelled, Sample, check_counts, make_sample, resolved
from facewatch.evaluation.metrics import PairCounts, Scores, Verification, count_pairs, nearer, scores, verification
from facewatch.evaluation.simulated import Simulation, simulate
from facewatch.evaluation.ways import (
    Arrival,
    OpenApp,
    Partition,
    all_at_once,
    by_clustering,
    plainly,
    scratch,
    streaming,
)
from facewatch.indexing.memory import memory_limit
from facewatch.indexing.pool import WorkerPool, Workers
from facewatch.types import EngineInfo, Progress, Thresholds

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.pipeline import Report
    from facewatch.types import Ints


FARS = (1e-3, 1e-4)

LEAST_NEARER = 0.75
"""So often at least is a pair of one person nearer than a pair of two where labels are people: of the hard sets of
`scripts/hard_sets`, made-up film stills give the least, 0.97 (ArcFace) and 0.94 (dlib). Photos of the same people put
into folders of occasions, each person in three of twenty, give 0.52 to 0.55, and folders of families 0.57 to 0.62."""
LEAST_PAIRS = 10
"""Pairs of one label; with fewer nothing is measured."""

Stage = Callable[[str], "AbstractContextManager[Report]"]
"""Opens a progress bar with this title."""


def quiet(_: str) -> AbstractContextManager[Report]:
    """Show no progress."""
    return nullcontext(lambda progress: None)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was measured."""

    labelled: Labelled
    info: EngineInfo
    sample: Sample
    pairs: PairCounts
    verifications: tuple[Verification, ...]
    normalised: tuple[Verification, ...]
    """The same with likeness judged by what both faces have with strangers, see `cohort`; none where the engine has
    no such figures. Distances are those of such cosines."""
    groupings: tuple[Partition, ...]
    left_out: Mapping[str, str]
    """Methods that could not be tried, and why."""
    faults: Mapping[str, tuple[str, str]]
    """What is wrong with photos that could not be used, and what to do about it."""
    arrival: Arrival
    identified: tuple[Identification, ...] = ()
    """How many faces each way of asking "known or new" identifies; none: there are no strangers."""
    simulations: tuple[Simulation, ...] = ()
    """What a simulated user makes of it, by method; none where nobody asked for it."""

    def scores_of(self, grouping: Partition) -> Scores:
        return scores(self.sample.person, grouping.groups)

    @property
    def name(self) -> str:
        """What these photos are called: their folder, and what of it was asked for."""
        folder = self.labelled.root.resolve().name
        return display(f"{folder}/{self.labelled.only}" if self.labelled.only else folder)

    @property
    def doubt(self) -> str | None:
        """Why the labels may not be people, so that all figures mean nothing; None: they look like people."""
        share = nearer(self.pairs)
        if share is None or self.pairs.n_same < LEAST_PAIRS or share >= LEAST_NEARER:
            return None
        return (
            f"these look like years, places or occasions, and not like people: faces with one label are nearer each "
            f"other than faces with two in {share:.0%} of cases, where those of people are in over 95 %. The figures "
            "mean nothing then; put photos of people you know into a folder per person"
        )


def analyse(
    labelled: Labelled,
    open_app: OpenApp,
    *,
    keep: Path | None = None,
    workers: Workers | None = None,
    stage: Stage = quiet,
) -> tuple[EngineInfo, Analyses]:
    """Return what the engine finds in the labelled photos.

    Args:
        keep: where what was found is kept for the next time, also when this is interrupted.
        workers: takes the place of the worker processes.

    Raises:
        LibraryError: `keep` is another kind of file, or was made with another engine or other settings.
    """
    with scratch(open_app) as app:
        key = key_of(app.engine.info, app.engine.recipe())
        known = load_analyses(keep, key) if keep else Analyses()
        paths = dict.fromkeys(resolved(labelled.root, photo) for photo in labelled.photos)
        own = workers or _workers(app)
        before = dict(known.files), len(known.photos)
        try:
            with stage("analysing photos") as report:
                analyse_photos(app, own, paths, known=known, report=report)
        finally:
            own.close()
            if keep and before != (known.files, len(known.photos)):
                save_analyses(keep, known, key)
        return app.engine.info, known


def _workers(app: App) -> WorkerPool:
    """Return worker processes with the limits of the settings."""
    return WorkerPool(
        app.engine.recipe(),
        app.config["engine.workers"] or available_cores(),
        photo_seconds=app.config["resources.photo_seconds"],
        memory=memory_limit(app.config["resources.memory_mb"]),
    )


def evaluate(
    labelled: Labelled,
    open_app: OpenApp,
    *,
    methods: Sequence[str],
    fars: Sequence[float] = FARS,
    arrival: Arrival = Arrival(),  # noqa: B008 - it cannot be changed
    with_user: bool = False,
    keep: Path | None = None,
    workers: Workers | None = None,
    stage: Stage = quiet,
) -> Evaluation:
    """Return how well the engine and these methods, or all of them ("all"), do on labelled photos.

    Args:
        open_app: opens apps with the settings that are judged, one for each way of working.
        fars: wanted shares of pairs of two people that are accepted.
        with_user: whether a simulated user names people and answers questions, see `simulated`.
        keep: see `analyse`.
        workers: takes the place of the worker processes.

    Raises:
        LibraryError: too few of the labelled faces were found to compare them.
        EngineError: the engine, or a method that was asked for by name, cannot be used.
    """
    usable, left_out = usable_methods(methods)
    info, analyses = analyse(labelled, open_app, keep=keep, workers=workers, stage=stage)
    sample = make_sample(labelled, analyses, n_dims=info.n_dims)
    check_counts(labelled.root, photos_of(sample), who="found")
    pairs = count_pairs(sample.embeddings, sample.person)
    with stage("grouping faces") as report:
        groupings = _group(sample, open_app, usable, arrival, report)
    likeness = _normalised(sample, info, groupings[0].groups)
    simulations = list[Simulation]()
    if with_user:
        with stage("asking the user") as report:
            simulations = _simulate(sample, open_app, usable, arrival, report)
    return Evaluation(
        labelled=labelled,
        info=info,
        sample=sample,
        pairs=pairs,
        verifications=tuple(verification(pairs, far) for far in fars),
        normalised=tuple(verification(likeness, far) for far in fars) if likeness else (),
        groupings=tuple(groupings),
        left_out=left_out,
        faults={display(path): fault for path, fault in analyses.faults.items()},
        arrival=arrival,
        identified=_identify(sample, open_app),
        simulations=tuple(simulations),
    )


def names_of(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return what each set is called, with the way to it where two would be called alike."""
    counts = Counter(one.name for one in evaluations)
    whole = [display(str(one.labelled.root / one.labelled.only)) for one in evaluations]
    return [one.name if counts[one.name] == 1 else path for one, path in zip(evaluations, whole, strict=True)]


def _normalised(sample: Sample, info: EngineInfo, groups: Ints) -> PairCounts | None:
    """Return how far apart pairs are by cosines normalised as the app does, which knows groups and not people."""
    if info.normalisation is None:
        return None
    order = np.random.default_rng(0).permutation(len(sample))
    cohort = Cohort.of(sample.embeddings[order], groups[order], info.normalisation)
    centred = cohort.centred(sample.embeddings)
    return count_pairs(centred, sample.person, cohort.similarity(centred, groups))


def photos_of(sample: Sample) -> Counter[str]:
    """Return on how many photos each person was found."""
    both = np.unique(np.stack([sample.person, sample.photo]), axis=1)
    return Counter(sample.names[person] for person in both[0].tolist())


def _identify(sample: Sample, open_app: OpenApp) -> tuple[Identification, ...]:
    with scratch(open_app) as app:
        limits, config = app.engine.info.thresholds, app.config
    return identification(sample, limits, shortlist=config["match.shortlist"], strictness=config["match.strictness"])


def _group(
    sample: Sample, open_app: OpenApp, methods: Sequence[str], arrival: Arrival, report: Report
) -> list[Partition]:
    """Return what each method makes of it, and, where similarities are normalised, what it would make of plain ones."""
    groupings: list[Partition] = []
    with scratch(open_app) as app:
        likenesses = (open_app, plainly(open_app)) if app.engine.normalisation else (open_app,)
    done = _counted(report, len(methods) * len(likenesses) * (2 + min(arrival.n_batches, len(sample.photos))))
    for method, opens in product(methods, likenesses):
        groupings.append(by_clustering(sample, opens, method))
        done(method)
        groupings.append(all_at_once(sample, opens, method))
        done(method)
        groupings.append(streaming(sample, opens, method, arrival, batch_done=partial(done, method)))
    return groupings


def _simulate(
    sample: Sample, open_app: OpenApp, methods: Sequence[str], arrival: Arrival, report: Report
) -> list[Simulation]:
    done = _counted(report, len(methods) * min(arrival.n_batches, len(sample.photos)))
    return [simulate(sample, open_app, method, arrival, batch_done=partial(done, method)) for method in methods]


def _counted(report: Report, n_total: int) -> Callable[[str], None]:
    """Return what reports that one more is done with this method."""
    numbers = count(1)
    return lambda method: report(Progress(next(numbers), n_total, method))


def usable_methods(wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the methods to try, each once, and why others of "all" are left out.

    Raises:
        FacewatchError: one that was asked for by its name cannot be used.
        ValueError: there is no such method.
    """
    from facewatch.clustering import METHODS

    usable, left_out = list[str](), dict[str, str]()
    for method in dict.fromkeys(name for one in wanted for name in (METHODS if one == "all" else [one])):
        try:
            _try(method)
        except FacewatchError as error:
            if method in wanted:
                raise
            left_out[method] = str(error)
        else:
            usable.append(method)
    return usable, left_out


def _try(method: str) -> None:
    """Group a few faces, so that what a method needs and has not is said before the long work."""
    from facewatch.clustering import make_clusterer

    angles = np.repeat([0.0, 1.5], 5) + np.tile(np.linspace(0.0, 0.1, 5), 2)
    faces = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    make_clusterer(method, ceiling=0.5).fit_predict(faces, photos=np.arange(len(faces)))


def facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return what was measured as plain values, for programs."""
    sample, info = evaluation.sample, evaluation.info
    return {
        "labelled": str(evaluation.labelled.root),
        "doubt": evaluation.doubt,
        "only": evaluation.labelled.only,
        "engine": {"name": info.name, "fingerprint": info.fingerprint, "thresholds": _threshold_row(info.thresholds)},
        "n_photos": len(sample.photos),
        "n_photos_unused": sample.n_unused,
        "detection": {
            "n_labelled": sample.n_labelled,
            "n_found": len(sample),
            "n_missed": sample.n_missed,
            "n_disputed": sample.n_disputed,
            "n_false": sample.n_false,
        },
        "n_people": len(set(sample.person.tolist())),
        "n_pairs_same": evaluation.pairs.n_same,
        "n_pairs_different": evaluation.pairs.n_different,
        "nearer": nearer(evaluation.pairs),
        "verification": [asdict(one) for one in evaluation.verifications],
        "verification_normalised": [asdict(one) for one in evaluation.normalised],
        "identification": facts_of(evaluation.identified),
        "n_batches": evaluation.arrival.n_batches,
        "seed": evaluation.arrival.seed,
        "groupings": [_grouping_facts(evaluation, grouping) for grouping in evaluation.groupings],
        "simulations": [_simulation_facts(simulation) for simulation in evaluation.simulations],
        "left_out": dict(evaluation.left_out),
        "faults": {path: {"fault": fault, "advice": advice} for path, (fault, advice) in evaluation.faults.items()},
    }


def _grouping_facts(evaluation: Evaluation, grouping: Partition) -> dict[str, Any]:
    measured = evaluation.scores_of(grouping)
    return {
        "way": grouping.way,
        "method": grouping.method,
        "is_normalised": grouping.is_normalised,
        **{
            name: {"precision": agreement.precision, "recall": agreement.recall, "f": agreement.f}
            for name, agreement in (("bcubed", measured.bcubed), ("pairwise", measured.pairwise))
        },
        "nmi": measured.nmi,
        "n_people_found": measured.n_people_found,
        "n_people_true": measured.n_people_true,
        "n_faces_in_groups": measured.n_faces_in_groups,
        "folders_per_person": measured.fragments.folders,
        "parts_per_person": measured.fragments.parts,
        "n_photos_twice": grouping.n_photos_twice,
        "seconds": round(grouping.seconds, 3),
    }


def _simulation_facts(simulation: Simulation) -> dict[str, Any]:
    return {
        "method": simulation.method,
        **{
            when: {**asdict(named), "precision": named.precision, "recall": named.recall}
            for when, named in (("before", simulation.before), ("after", simulation.after))
        },
        "share_of_missing": simulation.share_of_missing,
        **{
            which: {**asdict(unsettled), "share": unsettled.share}
            for which, unsettled in (("unsettled", simulation.unsettled), ("unsettled_of_named", simulation.of_named))
        },
        "n_at_most": simulation.n_at_most,
        "expected": [asdict(coverage) for coverage in simulation.expected],
        "n_answers": simulation.n_answers,
        "answers": dict(simulation.answers),
        "n_namings": simulation.n_namings,
        "largest_complete": asdict(simulation.wanted),
        "churn": {
            which: {**asdict(churn), "share": churn.share} for which, churn in simulation.churn._asdict().items()
        },
        "seconds": round(simulation.seconds, 3),
    }


_KEYS = {"low_quality_penalty": "poor", "singleton_penalty": "doubt", "no_rival_bonus": "clear"}
"""What thresholds are called in JSON where that is not as in the code."""


def _threshold_row(thresholds: Thresholds) -> dict[str, float]:
    return {_KEYS.get(name, name): value for name, value in asdict(thresholds).items()}
