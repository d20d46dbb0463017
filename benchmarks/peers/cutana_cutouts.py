"""The peer's half of `build_records.py`: cutouts by Cutana, timed, in an environment with `pip install cutana`.

Its orchestrator with two workers, pixels as they are in float32, without its look at every file beforehand. Prints one
line of JSON.
"""

import json
import sys
import time
from importlib.metadata import version

from cutana import Orchestrator, get_default_config


def main(sources: str, out: str):
    config = get_default_config()
    config.source_catalogue, config.output_dir, config.output_format = sources, out, "zarr"
    config.target_resolution, config.data_type = 128, "float32"
    config.selected_extensions = [{"name": "PRIMARY", "ext": "PrimaryHDU"}]
    config.channel_weights = {"PRIMARY": [1.0]}
    config.normalisation_method, config.max_workers, config.skip_fits_check = "none", 2, True
    start = time.perf_counter()
    result = Orchestrator(config).run()
    seconds = time.perf_counter() - start
    if result["status"] != "completed":
        raise SystemExit(f"Cutana ended with {result}")
    print(json.dumps({"seconds": seconds, "cutana": version("cutana")}))


if __name__ == "__main__":  # its workers are processes that import this file
    main(sys.argv[1], sys.argv[2])
