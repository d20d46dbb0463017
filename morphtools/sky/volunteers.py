"""Volunteers of the mock sky: what they can see of a galaxy, and how they then vote.

A feature is noticed with a probability that grows with its strength and with how clearly the galaxy is seen:
`clarity` falls for galaxies that are small beside the seeing or faint beside the noise, and features of a
disk fade as it turns edge-on. Everyone is equally attentive and answers independently, so counts are
multinomial.

Reference:
    That votes follow resolution and brightness, not morphology alone: Willett et al. 2013 (MNRAS 435, 2835),
    section 3.
"""

import numpy as np

from morphtools.sky.galaxies import RING_VOTES, VOTES, streams
from morphtools.survey.schemas import SCHEMAS

# Volunteers per galaxy: median, scatter in ln, and the fraction of galaxies shown to only about five people (as
# most of the late DECaLS sample was: Walmsley et al. 2022, MNRAS 509, 3966).
_TURNOUT = {"gz_decals_dr5": (38, 0.15, 0.25), "gz2": (44, 0.2, 0.0), "rings": (38, 0.15, 0.25)}


def _logistic(x):
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def _ordinal(x, edges, width):
    """Probabilities of len(edges) + 1 ordered answers for perceived quantities `x` blurred by `width`."""
    above = _logistic((np.asarray(x)[:, None] - np.array(edges)) / width)
    padded = np.column_stack([np.ones(len(above)), above, np.zeros(len(above))])
    return padded[:, :-1] - padded[:, 1:]


def _yes_no(p):
    return np.column_stack([p, 1 - p])


def clarity(g, fwhm, noise):
    """How clearly a galaxy is seen, 0 to 1.

    Args:
        g: Latents of N galaxies.
        fwhm: (N,) seeing in r, arcsec.
        noise: (N,) noise of r in nanomaggies per square arcsec.
    """
    resolved = g["radius"] / (0.5 * np.asarray(fwhm))
    brightness = 0.5 * 10 ** (-0.4 * (g["magnitude"] - 22.5)) / (np.pi * g["radius"] ** 2)
    return _logistic(2.2 * np.log(resolved / 2.2)) * _logistic(1.5 * np.log(brightness / np.asarray(noise) / 12))


def perceive(g, fwhm, noise):
    """Chances (N,) that a volunteer notices each feature, and the axis ratio of the outline."""
    see = clarity(g, fwhm, noise)
    face_on = np.sqrt(g["cos_inclination"])
    outline = np.where(g["smooth"], g["bulge_axis_ratio"], g["axis_ratio"])
    # Bars and rings need resolving by themselves, bars also a line of sight that does not foreshorten them.
    bar = g["bar_fraction"] / 0.06 * see * face_on * _logistic(2 * (g["bar_length"] / np.asarray(fwhm) - 1.2))
    ring = g["ring_fraction"] * see * face_on * _logistic(2 * (g["ring_radius"] / np.asarray(fwhm) - 1.5))
    arms = g["arm_contrast"] * see * face_on * (1 - 0.5 * g["bulge_fraction"]) * (g["arms"] > 0)
    thin = _logistic((0.27 - outline) / 0.03) * ~g["smooth"] * ~g["irregular"]
    noticed = 6.5 * arms + 1.8 * bar + 8 * ring + see * (3.0 * g["irregular"] + 2.4 * g["merger"]) + 3.2 * thin
    disk = ~g["smooth"] * (0.3 + 1.2 * see)
    return {
        "clarity": see,
        "featured": _logistic(noticed + disk - 2.3),
        "edge_on": 0.02 + 0.96 * thin,
        "spiral": 0.04 + 0.94 * _logistic(12 * arms - 3.2),
        "bar": 0.04 + 0.93 * _logistic(3.5 * bar - 2.8),
        "strong": _logistic(2 * (bar - 1.9)),
        "ring": 0.012 + 0.95 * _logistic(60 * ring - 5.5),
        "disturbed": 0.9 * g["merger"] * (0.25 + 0.75 * see),
        "ragged": np.clip(0.5 * g["irregular"] + g["lopsidedness"], 0, 0.85) * see,
        "dusty": _logistic((g["dust"] - 1.8) / 0.3) * g["edge_on"] * see,
        "outline": outline,
    }


def _shared_answers(g, sight, bad):
    """Answers to the questions both campaigns ask, in the order of GZ2's and DECaLS's answers."""
    see, bulge = sight["clarity"], g["bulge_fraction"]
    good = 0.985 * (1 - bad)
    number = np.arange(1, 6)
    unsure = np.clip(0.75 - 0.7 * see + 0.25 * (g["flocculence"] - 0.6), 0.05, 0.9)
    spread = np.exp(
        -((number - np.where(g["arms"] > 0, g["arms"], 2)[:, None]) ** 2) / (0.5 + 1.2 * (1 - see[:, None]))
    )
    counts = spread / spread.sum(axis=1, keepdims=True) * (1 - unsure[:, None])
    boxy = 0.12 * np.ones(len(see))
    no_bulge = _logistic((0.10 - bulge) / 0.05) * 0.9
    return {
        "smooth-or-featured": np.column_stack([good * (1 - sight["featured"]), good * sight["featured"], 1 - good]),
        "disk-edge-on": _yes_no(sight["edge_on"]),
        "has-spiral-arms": _yes_no(sight["spiral"]),
        "how-rounded": _ordinal(-sight["outline"], [-0.80, -0.42], 0.06),
        "spiral-winding": _ordinal(g["pitch"], [0.24, 0.40], 0.05),
        "spiral-arm-count": np.column_stack([counts, unsure]),
        "edge-on-bulge": np.column_stack([boxy * (1 - no_bulge), no_bulge, (1 - boxy) * (1 - no_bulge)]),
    }


def _decals_answers(g, sight, bad):
    answers = _shared_answers(g, sight, bad)
    merging = sight["disturbed"]
    close = _logistic((2.2 - g["companion_distance"] / g["radius"]) / 0.4)
    minor = np.clip(0.04 + 0.6 * sight["ragged"], 0, 0.6) * (1 - merging)
    answers["merging"] = np.column_stack(
        [
            1 - merging - minor,
            minor + 0.08 * merging,
            0.92 * merging * 0.4 * close,
            0.92 * merging * (1 - 0.4 * close),
        ]
    )
    answers["bar"] = np.column_stack(
        [sight["bar"] * sight["strong"], sight["bar"] * (1 - sight["strong"]), 1 - sight["bar"]]
    )
    answers["bulge-size"] = _ordinal(g["bulge_fraction"], [0.04, 0.14, 0.32, 0.55], 0.05)[:, ::-1]
    return answers


def _gz2_answers(g, sight, bad):
    answers = _shared_answers(g, sight, bad)
    answers["bar"] = _yes_no(sight["bar"])
    answers["bulge-size"] = _ordinal(g["bulge_fraction"], [0.05, 0.18, 0.5], 0.05)[:, ::-1]
    answers["bulge-shape"] = answers.pop("edge-on-bulge")[:, [2, 0, 1]]
    # The oddities compete for one answer: ring lens disturbed irregular other merger dust-lane.
    seen = [sight["ring"], 0.01, 0.25 * sight["disturbed"] + 0.3 * g["lopsidedness"], sight["ragged"], 0.03]
    seen = np.column_stack(np.broadcast_arrays(*seen, sight["disturbed"], sight["dusty"]))
    answers["something-odd"] = _yes_no(np.clip(1 - np.prod(1 - np.clip(seen, 0, 0.97), axis=1), 0.02, 0.97))
    answers["odd-feature"] = seen / seen.sum(axis=1, keepdims=True)
    return answers


def _ring_answers(g, sight, bad):
    return {"ring": _yes_no(sight["ring"] * np.ones(len(bad)))}


_CAMPAIGNS = {"gz_decals_dr5": _decals_answers, "gz2": _gz2_answers, "rings": _ring_answers}
_SUFFIX = {"gz_decals_dr5": "-dr5", "gz2": "-gz2", "rings": ""}


def answer_probabilities(schema, g, fwhm, noise, *, artifact=None):
    """Probability of every answer of volunteers who are asked the question.

    Args:
        schema: Name of a campaign: gz_decals_dr5, gz2 or rings.
        g: Latents of N galaxies.
        fwhm: (N,) seeing in r, arcsec.
        noise: (N,) noise of r in nanomaggies per square arcsec.
        artifact: (N,) whether an artefact spoils the image.

    Returns:
        (N, A) in the order of the schema's label columns; each question's answers sum to 1.

    Raises:
        ValueError: An unknown campaign.
    """
    if schema not in _CAMPAIGNS:
        raise ValueError(f"no simulated volunteers for schema {schema!r}; known: {', '.join(_CAMPAIGNS)}")
    bad = np.where(np.zeros(len(fwhm), bool) if artifact is None else artifact, 0.55, 0.0)
    answers = _CAMPAIGNS[schema](g, perceive(g, fwhm, noise), bad)
    names = [question.text.removesuffix(_SUFFIX[schema]) for question in SCHEMAS[schema].questions]
    return np.clip(np.column_stack([answers[name] for name in names]), 0, 1)


def draw_votes(schema, probabilities, seed, galaxies):
    """Vote counts of a campaign, walking down its tree.

    Args:
        schema: Name of the campaign.
        probabilities: (N, A) as `answer_probabilities` returns them.
        seed: Seed of the survey.
        galaxies: (N,) the galaxies' numbers.

    Returns:
        Int (N, A): a question is asked of those whose last answer leads to it; an unasked question has no
        votes.
    """
    tree, turnout = SCHEMAS[schema], _TURNOUT[schema]
    column = {name: k for k, name in enumerate(tree.label_cols)}
    walk = [
        (
            slice(column[q.label_cols[0]], column[q.label_cols[-1]] + 1),
            [column[name] for name in q.asked_after],
        )
        for q in tree.questions
    ]
    votes = np.zeros(probabilities.shape, int)
    purpose = RING_VOTES if schema == "rings" else VOTES
    for row, p, rng in zip(votes, probabilities, streams(seed, galaxies, purpose), strict=True):
        total = _turnout(rng, *turnout)
        for answers, parents in walk:
            asked = sum(row[k] for k in parents) if parents else total
            if asked:
                row[answers] = rng.multinomial(asked, p[answers] / p[answers].sum())
    return votes


def _turnout(rng, median, scatter, short):
    """How many volunteers saw a galaxy."""
    full = rng.random() >= short
    return max(3, round(float((median if full else 5) * np.exp(scatter * rng.standard_normal()))))
