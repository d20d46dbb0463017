"""Represents images from a browser in a separate process, which keeps TensorFlow out of the server."""

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np


class Representing:
    """A process that represents images one by one; it starts with the first image and ends with the server.

    Args:
        weights: The weights that made the store.
        store: Folder of the store.
    """

    def __init__(self, weights: str | Path, store: str | Path):
        self._arguments = [str(weights), str(store)]
        self._process: Any = None
        self._lock = threading.Lock()

    def __call__(self, image: Path) -> np.ndarray:
        """Represents an image file: (1, D).

        Raises:
            ValueError: It cannot be represented; the message explains why.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                command = [sys.executable, "-m", "morphtools.app.image_worker", *self._arguments]
                pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
                self._process = subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=nowhere)
            process = self._process
            try:
                process.stdin.write(json.dumps(str(image)) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if not answer:
                process.kill()
                self._process = None
                raise ValueError("the process that represents images has ended; perhaps there was too little memory")
        answer = json.loads(answer)
        if "error" in answer:
            raise ValueError(answer["error"])
        return np.array(answer["values"], np.float32)

    def close(self) -> None:
        """Ends the process immediately."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        with self._lock, contextlib.suppress(BrokenPipeError):  # nobody is waiting for an answer
            process.stdout.close()
            process.stdin.close()


def main() -> None:
    """Reads paths of images, one per line, until the input ends, and writes their representations."""
    from morphtools.explore.pca import represent_image

    weights, store = sys.argv[1:]
    out, sys.stdout = sys.stdout, sys.stderr  # nothing else may be written between answers
    for line in sys.stdin:
        try:
            answer = {"values": represent_image(Path(json.loads(line)), weights, store).tolist()}
        except Exception as error:  # of any kind: the next image may work
            answer = {"error": " ".join(str(error).split()) or type(error).__name__}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
