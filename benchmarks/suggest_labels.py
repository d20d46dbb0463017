"""Measures how many labels `suggest_labels` saves compared with labelling at random, with real labels.

    python benchmarks/suggest_labels.py DATA OUT

DATA, OUT and the five questions are those of `few_labels.py`. 40% of the galaxies of each question are the test. The
others have hidden labels: a head is fitted to 20 of them, in the proportions of the classes, and then 20 more are
revealed at a time, either those that `suggest_labels` suggests, or random ones. Both ways begin with the same 20, and
are tested on the same galaxies. OUT gets `suggestions.csv`, a row for each question, way, number of labels and seed.
"""

import numpy as np
import pandas as pd
from few_labels import QUESTIONS, galaxies, our_head, scores_of, typed
from sklearn.model_selection import train_test_split

from morphtools.answers.classes import Classes
from morphtools.answers.uncertainty import uncertainty_of
from morphtools.explore.suggestions import choose_diverse
from morphtools.studies.label_savings import in_a_sentence, label_savings, means_by_labels

FIRST, STEP, MOST = 20, 20, 200
WAYS, METRICS = ("random", "suggested"), ("auc", "accuracy")


def main() -> None:
    """Prints a table for each question, and in sentences how many labels are saved."""
    options, rows = typed(__doc__), []
    for question, (name, read) in QUESTIONS.items():
        x, y = galaxies(options, name, read)
        of_question = [row for seed in range(options.seeds) for row in _label(x, y, seed)]
        rows += [{"question": question, **row} for row in of_question]
        table = pd.DataFrame(of_question)
        means = means_by_labels(table, list(METRICS)).pivot(index="asked", columns="way", values=list(METRICS))
        print(f"{question}: {len(y)} galaxies\n{means.to_string(float_format='{:.3f}'.format)}")
        for metric in METRICS:
            for _, saved in label_savings(table, metric, "random").iterrows():
                print(in_a_sentence(saved, metric, "random"))
        pd.DataFrame(rows).to_csv(options.out / "suggestions.csv", index=False)


def _label(x: np.ndarray, y: np.ndarray, seed: int) -> list[dict]:
    """A row for each way and number of labels."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    test, pool = np.split(order, [int(0.4 * len(y))])
    first, _ = train_test_split(np.arange(len(pool)), train_size=FIRST, stratify=y[pool], random_state=seed)
    rows, most = [], min(MOST, int(0.6 * len(pool)))  # when nearly all are labelled, both ways have the same ones
    for way in WAYS:
        labelled = first
        while True:
            # classes without a label yet are unknown to the head: they get no probability
            there = np.unique(y[pool[labelled]])
            predict = our_head(x[pool[labelled]], np.searchsorted(there, y[pool[labelled]]), seed)
            probability = np.full((len(test), y.max() + 1), 1e-6)
            probability[:, there] = predict(x[test])
            scores = scores_of(y[test], probability / probability.sum(axis=1, keepdims=True))
            n = len(labelled)
            rows.append({"way": way, "asked": n, "labels": n, "seed": seed, **scores})
            if n + STEP > most:
                break
            left = np.setdiff1d(np.arange(len(pool)), labelled)
            if way == "random":
                chosen = np.random.default_rng([seed, n]).choice(len(left), STEP, replace=False)
            else:
                answer = Classes(tuple(map(str, there)))
                uncertainty = uncertainty_of(answer, predict(x[pool[left]]))
                chosen = choose_diverse(x[pool[left]], uncertainty, STEP, seed=seed + n)
            labelled = np.concatenate([labelled, left[chosen]])
    return rows


if __name__ == "__main__":
    main()
