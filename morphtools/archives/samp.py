"""Sends tables to TOPCAT, Aladin and other programs on this machine, by SAMP."""

import contextlib
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.tables_out import write_table

_LOADS = "table.load.votable"


def send_to_topcat(
    table: str | Path | pd.DataFrame,
    only: str | Path | pd.DataFrame | None = None,
    *,
    name: str | None = None,
    timeout: float = 30.0,
) -> list[str]:
    """Sends a table to every program that accepts tables by SAMP: TOPCAT, Aladin and others.

    Args:
        table: A catalogue in any format, or a `DataFrame`.
        only: Table with the `id_str` of the galaxies to send.
        name: Name of the table in these programs (by default that of the file).
        timeout: Seconds that a program has to load it.

    Returns:
        Names of the programs that loaded it.

    Raises:
        ConnectionError: No SAMP hub is running, no program accepts tables, or none could load this one.
        ValueError: None of the galaxies of `only` is in the table.
    """
    name = name or (Path(table).name if isinstance(table, str | Path) else "morphtools")
    opened: pd.DataFrame = read_catalog(table) if isinstance(table, str | Path) else table
    if only is not None:
        chosen: pd.DataFrame = read_catalog(only) if isinstance(only, str | Path) else only
        opened = check_catalog(opened, ("id_str",))
        opened = opened[opened["id_str"].isin(check_catalog(chosen, ("id_str",))["id_str"])]
        if not len(opened):
            raise ValueError("none of the galaxies of `only` is in the table")
    with _connected() as client, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.vot"
        write_table(opened, path)
        message = {"samp.mtype": _LOADS, "samp.params": {"url": path.as_uri(), "name": name, "table-id": name}}
        return _send(client, message, timeout)


def _send(client, message: dict, timeout: float) -> list[str]:
    """Waits until every program has loaded the table, because its file is removed afterwards."""
    programs = client.get_subscribed_clients(_LOADS)
    if not programs:
        raise ConnectionError("a SAMP hub is running, but no program that accepts tables is connected; start TOPCAT")
    loaded, failed = [], []
    for program in programs:
        called = client.get_metadata(program).get("samp.name", program)
        try:
            reply = client.call_and_wait(program, message, str(max(1, int(np.ceil(timeout)))))
            (loaded if reply.get("samp.status") == "samp.ok" else failed).append(called)
        except Exception as error:  # the hub reports any failure as an XML-RPC fault
            failed.append(f"{called} ({error})")
    if not loaded:
        raise ConnectionError(f"the table could not be loaded by {', '.join(failed)}")
    return loaded


@contextlib.contextmanager
def _connected():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy 8 announces that this moves to pyvo
        try:
            from pyvo.samp import SAMPHubError, SAMPIntegratedClient
        except ImportError:
            try:
                from astropy.samp import SAMPHubError, SAMPIntegratedClient
            except ImportError:
                raise ImportError("this version of astropy no longer has SAMP: pip install pyvo") from None
    client = SAMPIntegratedClient(name="morphtools", description="Galaxies: tables of morphtools")
    try:
        client.connect()
    except SAMPHubError:
        raise ConnectionError("no SAMP hub is running on this machine: start TOPCAT or Aladin first") from None
    try:
        yield client
    finally:
        client.disconnect()
