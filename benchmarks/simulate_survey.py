"""Measures how many mock galaxies one core makes per second: ``python benchmarks/simulate_survey.py``.

The aim: 400 galaxies per second for five bands at 64 pixels, catalogue and votes included.
"""

import os

# One core means one thread; read when NumPy's libraries load.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import time

from morphtools.sky.simulate import simulate_galaxies


def main():
    simulate_galaxies(64, image_size=64, bands="ugriz")  # textures and cosmology are tabulated once
    print(f"{'bands':>6} {'pixels':>6} {'galaxies/s':>10} {'per second of processor':>24}")
    for bands, size, count in (("ugriz", 64, 800), ("grz", 64, 800), ("grz", 128, 250), ("ugriz", 128, 150)):
        wall, processor = time.perf_counter(), time.process_time()
        simulate_galaxies(count, image_size=size, bands=bands)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print(f"{bands:>6} {size:>6} {count / wall:>10.0f} {count / processor:>24.0f}")


if __name__ == "__main__":
    main()
