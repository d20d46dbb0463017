import sys
import types

import pytest

from morphtools.app import notebook


@pytest.fixture
def served(monkeypatch):
    """What `serve` was called with."""
    calls = []

    def serve(store, **given):
        calls.append({"store": store} | given)
        return types.SimpleNamespace(url=f"http://127.0.0.1:{given.get('port', 4321)}/secret/", stop=lambda: None)

    monkeypatch.setattr(notebook, "serve", serve)
    return calls


def test_a_notebook_shows_the_page_in_a_frame_below_the_cell(served, monkeypatch):
    shown = []
    display = types.ModuleType("IPython.display")
    display.IFrame, display.display = lambda *given: given, shown.append
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    page = notebook.browse("representations", catalog="galaxies.csv", height=500)
    page._ipython_display_()
    assert shown == [("http://127.0.0.1:4321/secret/", "100%", 500)]
    assert served[0]["catalog"] == "galaxies.csv" and not served[0]["block"] and "hosts" not in served[0]


def test_on_colab_the_page_comes_through_its_proxy_and_the_server_knows_the_name(served, monkeypatch):
    """As Colab documents `google.colab.output`; a stand-in, for it was never run there."""
    shown = []
    output = types.ModuleType("google.colab.output")
    output.eval_js = lambda code: f"https://abc-{code.split('(')[1].rstrip(')')}-colab.googleusercontent.com/"
    output.serve_kernel_port_as_iframe = lambda port, path, height: shown.append((port, path, height))
    colab = types.ModuleType("google.colab")
    colab.output = output
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    notebook.browse("representations")._ipython_display_()
    port = served[0]["port"]
    assert served[0]["hosts"] == (f"abc-{port}-colab.googleusercontent.com",)
    assert shown == [(port, "/secret/", 760)]


def test_the_command_and_the_notebook_take_the_same_arguments():
    import inspect

    from morphtools.app.server import serve
    from morphtools.cli import main

    command = {option.name for option in main.commands["explore"].params}
    function = set(inspect.signature(notebook.browse).parameters)
    assert function - command == {"height"}
    assert command - function == {"host", "port", "hosts", "browser", "config"}
    assert command - {"browser", "config"} <= set(inspect.signature(serve).parameters)
