import warnings
from pathlib import Path
from urllib.parse import urlparse

import pandas as pd
import pytest
from click.testing import CliRunner

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        from pyvo.samp import SAMPHubServer, SAMPIntegratedClient
    except ImportError:
        from astropy.samp import SAMPHubServer, SAMPIntegratedClient

from morphtools.archives.samp import send_to_topcat
from morphtools.cli import main
from tfrecords_builder.catalog import read_catalog

GALAXIES = pd.DataFrame({"id_str": ["007", "NA", "x"], "ra": [1.0, 2.0, 3.0], "dec": [0.0, 0.0, 0.0]})


@pytest.fixture
def hub(tmp_path, monkeypatch):
    (tmp_path / "hub").mkdir()
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'hub' / 'lock').as_uri()}")
    server = SAMPHubServer(web_profile=False, lockfile=str(tmp_path / "hub" / "lock"), addr="127.0.0.1")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def topcat(hub):
    """A program that loads tables, as TOPCAT does: it reads the file and replies."""
    client, received = SAMPIntegratedClient(name="a topcat", addr="127.0.0.1"), []
    client.connect()

    def load(private_key, sender, message_id, mtype, params, extra):
        received.append((params["name"], read_catalog(Path(urlparse(params["url"]).path))))
        client.reply(message_id, {"samp.status": "samp.ok", "samp.result": {}})

    client.bind_receive_call("table.load.votable", load)
    yield received
    client.disconnect()


def test_a_table_arrives_whole_or_the_selection_of_it(topcat, tmp_path):
    assert send_to_topcat(GALAXIES, name="mine") == ["a topcat"]
    GALAXIES.iloc[1:].to_csv(tmp_path / "chosen.csv", index=False)
    GALAXIES.to_csv(tmp_path / "all.csv", index=False)
    command = ["send-to-topcat", str(tmp_path / "all.csv"), "--only", str(tmp_path / "chosen.csv")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0 and "a topcat" in done.output
    assert [name for name, _ in topcat] == ["mine", "all.csv"]
    assert [table["id_str"].tolist() for _, table in topcat] == [["007", "NA", "x"], ["NA", "x"]]
    with pytest.raises(ValueError, match="none of the galaxies of `only` is in the table"):
        send_to_topcat(GALAXIES, GALAXIES.assign(id_str=["a", "b", "c"]))


def test_a_hub_without_programs_is_reported(hub):
    with pytest.raises(ConnectionError, match="no program that accepts tables is connected; start TOPCAT"):
        send_to_topcat(GALAXIES)


def test_without_a_hub_it_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'none').as_uri()}")
    with pytest.raises(ConnectionError, match="no SAMP hub is running on this machine: start TOPCAT or Aladin first"):
        send_to_topcat(GALAXIES)
