"""What works on this machine, and how to fix what does not."""

import importlib.metadata
import inspect
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from morphtools.models.cards import find_card, list_pretrained
from tfrecords_builder.quiet import quietly


def doctor(speed: bool = False, weights: str | Path | None = None) -> tuple[str, bool]:
    """Looks at Python, packages, backend, devices, memory and weights.

    Args:
        speed: Whether to measure, too, which settings are fastest here; takes about a minute.
        weights: Whose encoder to measure, as for `load_pretrained`; by default that of the default weights.

    Returns:
        A report to read, and whether everything that morphtools needs is there.

    Raises:
        ValueError: There are no such weights.
        FileNotFoundError: There are no weights or no card at this path.
    """
    if weights is not None:
        find_card(weights)  # before a minute is spent
    lines, fixes = [], []
    lines.append(_row("morphtools", _version("morphtools") or "not installed, run from its folder"))
    lines.append(_row("python", f"{platform.python_version()} on {platform.platform(terse=True)}"))
    for package, least in _requirements().items():
        have = _version(package)
        lines.append(_row(package, have or "missing"))
        if have is None or _release(have) < _release(least):
            fixes.append(f'pip install "{package}>={least}"')
    for package, why in (("jax", "models on JAX"), ("torch", "models on PyTorch")):
        lines.append(_row(package, f"{_version(package) or 'not installed'} (optional: {why})"))
    backend_lines, backend_fixes = _backend()
    lines += backend_lines
    lines.append(_row("memory", _memory()))
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    lines.append(_row("disk", f"{free:.0f} GiB free in {Path.cwd()}"))
    if free < 1:
        fixes.append(f"free some disk space for {Path.cwd()}, or work elsewhere with --out")
    names = [card.name for card in list_pretrained()]
    lines.append(_row("weights", ", ".join(names) or "none: encoders start from random weights"))
    fixes += backend_fixes
    lines += _speed(weights) if speed else []
    lines.append("\nEverything morphtools needs is here." if not fixes else "\nTo fix:")
    return "\n".join(lines + [f"  {fix}" for fix in fixes]), not fixes


def _row(name: str, value: str) -> str:
    return f"{name:<24}{value}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def _requirements() -> dict[str, str]:
    """Lower bounds of what morphtools requires, from its own metadata."""
    requires = (importlib.metadata.requires("morphtools") if _version("morphtools") else None) or []
    matches = [re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", line) for line in requires]
    return {m[1]: m[2] for m in matches if m}


def _backend() -> tuple[list[str], list[str]]:
    try:
        with quietly():
            import keras
    except Exception as error:  # of any kind: its own message is the best hint
        name = os.environ.get("KERAS_BACKEND", "tensorflow")
        return [_row("backend", f"{name}: cannot be imported: {error}")], [
            f"pip install {name}, or set KERAS_BACKEND=tensorflow"
        ]
    lines = [_row("backend", f"{keras.backend.backend()} (choose with KERAS_BACKEND=tensorflow|jax|torch)")]
    try:
        devices = keras.distribution.list_devices()
    except Exception:  # not every backend can tell
        devices = []
    lines.append(_row("devices", ", ".join(devices) or "cpu"))
    lines.append(
        _row("cores", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()))
    )
    if keras.backend.backend() == "tensorflow" and "TF_ENABLE_ONEDNN_OPTS" not in os.environ and _is_x86_without_vnni():
        lines.append(
            _row("tip", "TF_ENABLE_ONEDNN_OPTS=1 may be much faster here; morphtools doctor --speed measures it")
        )
    fixes = []
    if shutil.which("nvidia-smi") and not any("gpu" in device.lower() for device in devices):
        fixes.append('there is a GPU that the backend does not see: pip install "tensorflow[and-cuda]"')
    return lines, fixes


_WORTHWHILE = 1.1  # times as fast: below, it is not worth a setting


def _speed(weights: str | Path | None) -> list[str]:
    """Images per second of an encoder, with and without oneDNN and bfloat16, and what to set."""
    import keras

    import morphtools

    weights = str(weights or inspect.signature(morphtools.finetune).parameters["weights"].default)
    on = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "0" if _is_x86_without_vnni() else "1") != "0"
    now, other = ("oneDNN on", "oneDNN off") if on else ("oneDNN off", "oneDNN on")
    rates = {now: _rates(weights, "1" if on else "0")}
    if keras.backend.backend() == "tensorflow":  # where it is chosen by the first import
        rates[other] = _rates(weights, "0" if on else "1")
    lines = [_row("speed", f"{weights}, images per second on {keras.backend.backend()}")]
    lines += [
        _row(f"  {name}", ", ".join(f"{what} {n:.0f}" for what, n in each.items())) for name, each in rates.items()
    ]
    gains = {what: rate / rates[now][what] for what, rate in rates.get(other, {}).items() if what.endswith("float32")}
    if any(gain > _WORTHWHILE for gain in gains.values()):
        times = ", ".join(f"{what} {gain:.1f}" for what, gain in gains.items())
        lines.append(_row("tip", f"set TF_ENABLE_ONEDNN_OPTS={0 if on else 1} (times as fast: {times})"))
    for what, verbs in (("predict", "predict, represent and finetune"), ("train", "train and pretrain")):
        gain = rates[now][f"{what} bfloat16"] / rates[now][f"{what} float32"]
        advice = "use" if gain > _WORTHWHILE else "leave out"
        lines.append(_row("tip", f"{advice} --mixed-precision of {verbs}: {gain:.1f} times as fast in bfloat16"))
    return lines


def _rates(weights: str, onednn: str) -> dict[str, float]:
    """Measures in a separate process, with oneDNN off (0) or on (1)."""
    code = "import json, sys; from morphtools.training.speed import images_per_second;"
    code += "print(json.dumps(images_per_second(sys.argv[1])))"
    settings = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": onednn}
    command = [sys.executable, "-c", code, weights]
    done = subprocess.run(command, env=settings, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _is_x86_without_vnni() -> bool:
    """Whether TensorFlow leaves oneDNN off unless told: it turns it on where neural networks have instructions."""
    about = Path("/proc/cpuinfo")
    return platform.machine() == "x86_64" and about.exists() and "avx512_vnni" not in about.read_text()


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return f"{pages * size / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return "unknown"
