import dataclasses
import inspect
import logging
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.shell_completion import ShellComplete
from click.testing import CliRunner

import morphtools
from morphtools import cli
from morphtools.commands.calling import echo_table
from morphtools.config import read_config
from morphtools.models.cards import find_card

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def loggers_as_before():
    """The command sends what the package logs to the console; other tests want it to reach pytest."""
    yield
    for name in ("morphtools", "tfrecords_builder"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def invoke(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


VERBS = "benchmark_anomalies find_anomalies finetune predict pretrain represent simulate_survey train".split()


@pytest.mark.parametrize("name", VERBS)
def test_the_command_takes_the_arguments_of_the_function(name):
    parameters = inspect.signature(getattr(morphtools, name)).parameters
    options = {option.name: option for option in cli.main.commands[name.replace("_", "-")].params}
    handed_on = {"table", "samp"} if name == "find_anomalies" else set()
    given = {"scheduler" if name == "executor" else name for name in parameters}  # a command has only its address
    assert set(options) == given | {"config"} | handed_on
    # Defaults live in the function; the help only repeats them.
    for name, parameter in parameters.items():
        if isinstance(parameter.default, bool):
            assert parameter.default is False and options[name].is_flag, name
        elif isinstance(parameter.default, int | float):
            shown = re.search(r"\(([\d.e-]+)\)", options[name].help)
            assert float(shown[1]) == parameter.default, name
        elif isinstance(parameter.default, str):
            assert parameter.default in options[name].help, name


def test_records_are_previewed_built_and_inspected(galaxies, tmp_path):
    catalog, folder = galaxies
    catalog.to_csv(tmp_path / "c.csv", index=False)
    arguments = (tmp_path / "c.csv", tmp_path / "records", "--images", folder, "--image-size", 16)
    result = invoke("build-records", *arguments, "--preview", tmp_path / "look.png")
    assert result.exit_code == 0 and (tmp_path / "look.png").stat().st_size > 1000, result.output
    assert not (tmp_path / "records").exists()
    for part in ("1/2", "2/2"):
        assert invoke("build-records", *arguments, "--part", part).exit_code == 0
    result = invoke("build-records", *arguments)
    assert result.exit_code == 0 and "0 unusable" in result.output, result.output
    result = invoke("inspect-records", tmp_path / "records", "--picture", tmp_path / "look2.png", "--verify")
    assert result.exit_code == 0 and "verified" in result.output, result.output
    shard = next((tmp_path / "records").glob("train-*"))
    shard.write_bytes(shard.read_bytes()[:-100] + bytes(100))
    result = invoke("inspect-records", tmp_path / "records", "--galaxies", 1, "--verify")
    assert result.exit_code == 1 and shard.name in result.output


def test_the_builders_command_takes_the_arguments_of_the_function():
    options = {option.name for option in cli.main.commands["build-records"].params}
    parameters = set(inspect.signature(morphtools.build_records).parameters)
    assert options - {"preview", "scheduler"} == parameters - {"executor"}


def test_a_mock_survey_is_written(tmp_path):
    arguments = ("--galaxies", 4, "--image-size", 32, "--fractions", "ring=1", "--bands", "gr")
    result = invoke("simulate-survey", tmp_path / "sky", *arguments)
    assert result.exit_code == 0 and "4 galaxies" in result.output
    assert len(list((tmp_path / "sky" / "images").iterdir())) == 4
    result = invoke("simulate-survey", tmp_path / "sky", "--fractions", "half")
    assert result.exit_code == 2 and "fractions must be given as ring=0.5" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--task", "ring"),
            "unknown task 'ring'; known tasks: bars, edge-on, mergers, photoz, rings, smooth, spirals",
        ),
        (("--catalog", "nowhere.csv"), "there is no catalogue at"),
        (("--config", "nowhere.yaml"), "there is no config at nowhere.yaml"),
        (("--out", ROOT / "README.md" / "run"), "Not a directory"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = invoke("finetune", "--labels", 20, *arguments)
    assert result.exit_code == 2
    lines = [line for line in result.output.splitlines() if line.startswith("morphtools: ")]
    assert len(lines) == 1 and message in lines[0]
    assert "Traceback" not in result.output
    assert not list(tmp_path.rglob("config.yaml"))


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path, monkeypatch):
    seen = {}

    def finetune(task="rings", labels=500, seed=0):
        seen.update(task=task, labels=labels, seed=seed)
        return Run()

    monkeypatch.setattr(morphtools, "finetune", finetune)
    (tmp_path / "c.yaml").write_text("labels: 70\ntask: bars\n")
    result = invoke("finetune", "--config", tmp_path / "c.yaml", "--task", "mergers")
    assert result.exit_code == 0 and "found" in result.output
    assert seen == {"task": "mergers", "labels": 70, "seed": 0}


def test_an_option_that_is_repeated_is_a_list_and_one_that_is_not_typed_keeps_its_default(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(morphtools, "finetune", lambda column="ring", labels=500: seen.append(column) or Run())
    (tmp_path / "c.yaml").write_text("column: [bar, ring]\n")
    for arguments in (
        ["--column", "bar", "--column", "ring"],
        ["--column", "bar,ring"],
        [],
        ["--config", tmp_path / "c.yaml"],
    ):
        assert invoke("finetune", *arguments).exit_code == 0
    assert seen == ["bar,ring", "bar,ring", "ring", ["bar", "ring"]]


class Run:
    summary = "found"


def test_a_bad_config_names_the_file_and_the_nearest_argument(tmp_path):
    path = tmp_path / "c.yaml"
    for text, message in [
        ("lables: 5", "unknown argument 'lables'; .*did you mean 'labels'"),
        ("- 5", "one 'argument: value' per line"),
        ("a: [", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as error:
            read_config(path, ["labels", "task"])
        assert "c.yaml" in str(error.value)


def test_weights_are_listed_and_cited(tmp_path, monkeypatch):
    from morphtools.models import cards

    monkeypatch.setattr(cards, "WEIGHTS", tmp_path)
    assert invoke("list-pretrained").output == "none\n"
    card = cards.Card(
        "mine", "encoder", {"name": "resnet18"}, ("g", "r"), "flux", (64, 64), surveys=("DECaLS",), data="D"
    )
    (tmp_path / "mine.weights.h5").write_bytes(b"numbers")
    cards.write_card(card, tmp_path / "mine.weights.h5")
    assert invoke("list-pretrained").output == "mine: encoder, resnet18, 64×64×2, DECaLS\n    D\n"
    cards.write_card(dataclasses.replace(card, scores={"accuracy": 0.9671}), tmp_path / "mine.weights.h5")
    assert invoke("list-pretrained").output.endswith("    D\n    On held-out galaxies: accuracy 0.967.\n")
    assert "mine" in invoke("cite", "mine").output and invoke("cite", "mien").exit_code == 2
    assert re.search("^weights +mine$", invoke("doctor").output, re.MULTILINE)


@pytest.mark.parametrize("verb", ["predict", "represent"])
def test_weights_that_are_not_there_are_one_line_and_exit_code_2(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(verb, "nowhere", "out", "--records", "records")
    assert result.exit_code == 2 and "morphtools: unknown pretrained model 'nowhere'" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda p: p.name)
def test_every_config_fits_its_function_and_names_its_command(path):
    verb = getattr(morphtools, path.parent.name)
    settings = read_config(path, inspect.signature(verb).parameters)
    for weights in settings.get("weights", "random").split(","):
        assert weights == "random" or weights.endswith("_imagenet") or find_card(weights)
    command = path.read_text().splitlines()[0]
    verb = path.parent.name.replace("_", "-")
    assert command.startswith(f"# morphtools {verb} --config {path.relative_to(ROOT)}")


def test_doctor_finds_this_environment_sound():
    result = invoke("doctor")
    assert result.exit_code == 0, result.output
    for part in (
        "morphtools",
        "keras",
        "tensorflow",
        "tensorflow-probability",
        "backend",
        "devices",
        "memory",
        "weights",
    ):
        assert re.search(rf"^{part} ", result.output, re.MULTILINE), part
    assert "Everything morphtools needs is here." in result.output


def test_doctor_gives_the_fix_for_what_is_missing(monkeypatch):
    from morphtools import diagnosis

    monkeypatch.setattr(diagnosis, "_requirements", lambda: {"nosuchpackage": "1.2", "numpy": "99.0"})
    report, healthy = diagnosis.doctor()
    assert not healthy
    assert 'pip install "nosuchpackage>=1.2"' in report and 'pip install "numpy>=99.0"' in report


@pytest.mark.parametrize(("now", "gain"), [("1", 2.0), ("0", 2.0), ("1", 0.5), ("0", 1.0)])
def test_doctor_advises_what_is_faster_here(monkeypatch, now, gain):
    from morphtools import diagnosis

    def rates(weights, onednn):  # the other setting is `gain` times as fast as now, and bfloat16 than float32
        factor = 100 if onednn == now else 100 * gain
        return {f"{what} {kind}": factor * (gain if kind == "bfloat16" else 1) for what, kind in KINDS}

    monkeypatch.setattr(diagnosis, "_rates", rates)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", now)
    report, _ = diagnosis.doctor(speed=True)
    advice = f"set TF_ENABLE_ONEDNN_OPTS={1 - int(now)} (times as fast: predict float32 {gain}, train float32 {gain})"
    assert (advice in report) == (gain > 1)
    for verbs in ("predict, represent and finetune", "train and pretrain"):
        advice = f"{'use' if gain > 1 else 'leave out'} --mixed-precision of {verbs}: {gain} times as fast in bfloat16"
        assert advice in report


def test_doctor_measures_the_weights_that_are_given_and_refuses_those_that_are_not_there(monkeypatch):
    from morphtools import diagnosis

    measured = []

    def rates(weights, onednn):
        measured.append(weights)
        return {f"{what} {kind}": 1.0 for what, kind in KINDS}

    monkeypatch.setattr(diagnosis, "_rates", rates)
    name = "mobilenet_v3_small_gz2"
    assert f"speed                   {name}, images per second" in diagnosis.doctor(speed=True, weights=name)[0]
    diagnosis.doctor(speed=True)
    assert measured == [name, name, "efficientnet_lite0_gz2", "efficientnet_lite0_gz2"]  # each without and with oneDNN
    for weights, message in (("nowhere/run", "nowhere/run"), ("mobilenet_gz", "unknown")):
        result = invoke("doctor", "--speed", "--weights", weights)
        assert result.exit_code == 2 and message in result.output and "Traceback" not in result.output
    assert "--weights is for --speed" in invoke("doctor", "--weights", name).output


KINDS = [(what, kind) for kind in ("float32", "bfloat16") for what in ("predict", "train")]


@pytest.mark.slow
def test_the_readme_command_runs_offline_on_the_simulated_sky(tmp_path):
    command = re.search(r"\.venv/bin/(morphtools finetune .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)[1]
    code = "from morphtools.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()[1:]], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("rings from 500 labels of the simulated sky")
    assert "simulated sky" in done.stderr and "cuda" not in done.stderr.lower()
    auc = yaml.safe_load((tmp_path / "morphtools-runs/rings-500/metrics.json").read_text())["test"]["auc"]
    assert auc["low"] > 0.5  # significantly better than chance
    card = yaml.safe_load((tmp_path / "morphtools-runs/rings-500/card.json").read_text())
    assert card["surveys"] == ["simulated sky"] and "SDSS" in card["data"]  # of the weights, which it names
    assert "encoder" not in yaml.safe_load((tmp_path / "morphtools-runs/rings-500/config.yaml").read_text())


def test_readme_test_command_is_the_one_that_ci_runs():
    commands = re.findall(r"^python3 -m venv .*pytest$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands == ['python3 -m venv .venv && .venv/bin/pip install -q -e ".[test]" && .venv/bin/python -m pytest']
    assert "grep -m1 '^python3 -m venv .*pytest$' README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", cli.main.commands)
def test_an_example_can_be_copied_from_a_narrow_terminal(name):
    examples = re.findall(rf"^ *(morphtools {name}.*)$", inspect.getdoc(cli.main.commands[name].callback), re.MULTILINE)
    shown = CliRunner().invoke(cli.main, [name, "--help"], terminal_width=60).output
    as_the_shell_reads_it = re.sub(r" +\\\n +", " ", shown)
    assert examples and all(re.search(rf"^ +{re.escape(e)}$", as_the_shell_reads_it, re.MULTILINE) for e in examples)


@pytest.mark.parametrize("arguments", [[], *([name] for name in cli.main.commands)])
def test_help_fits_into_80_columns(arguments):
    shown = CliRunner().invoke(cli.main, [*arguments, "--help"], terminal_width=80).output
    assert max(map(len, shown.splitlines())) <= 80


def test_question_trees_are_listed_drawn_and_checked(tmp_path):
    assert "gz_euclid" in invoke("list-schemas").output
    assert "└─ smooth → how-rounded-gz2" in invoke("list-schemas", "gz2").output
    assert "10 questions" in invoke("list-schemas", "gz2", "--compat", "published").output
    help_text = invoke("list-schemas", "--help").output
    example = help_text.split("(bar_yes):")[1].split("Options")[0]
    (tmp_path / "mine.yaml").write_text(inspect.cleandoc(example))
    assert "my-survey" in invoke("list-schemas", tmp_path / "mine.yaml").output
    result = invoke("list-schemas", "gz22")
    assert result.exit_code == 2 and "did you mean 'gz2'" in result.output


def test_anomalies_are_found_and_the_ways_to_find_them_compared(galaxies, tmp_path):
    import numpy as np

    from morphtools.inference.representations import Representations

    catalog, _ = galaxies
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3)) + np.outer(catalog["ring"], [4, 0, 0])
    Representations.create(tmp_path / "r", 3, {}).append(catalog["id_str"], values)
    arguments = (tmp_path / "r", "--catalog", tmp_path / "catalog.csv", "--ratings", 8, "--batch-size", 4)
    result = invoke("find-anomalies", *arguments, "--oracle", "ring", "--examples", "g01, g03", "--out", tmp_path / "s")
    assert result.exit_code == 0 and "8 ratings in" in result.output, result.output
    assert (tmp_path / "s" / "scores.csv").exists()
    arguments = (f"mine={arguments[0]}", *arguments[1:], "--column", "ring", "--out", tmp_path / "b")
    result = invoke("benchmark-anomalies", *arguments, "--repeats", 1, "--methods", "matern, random")
    assert result.exit_code == 0 and "mine" in result.output and "matern" in result.output, result.output
    for arguments, message in (
        (("find-anomalies",), "find-anomalies needs representations"),
        (("benchmark-anomalies", "r"), "benchmark-anomalies needs column"),
        (("find-anomalies", tmp_path), "there are no representations at"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2 and result.output.startswith(f"morphtools: {message}"), result.output


def test_a_message_names_options_as_they_are_typed(tmp_path):
    (tmp_path / "c.csv").write_text("id_str,file_loc\na,a.png\n")
    result = invoke("finetune", "--task", "rings", "--catalog", tmp_path / "c.csv", "--out", tmp_path / "run")
    assert result.exit_code == 2 and "name yours with --column" in result.output
    typed = cli.as_typed("learning_rate must be positive; 'image_size' and a/image_size.csv are names; `seed`",
                         cli.main.commands["finetune"])  # fmt: skip
    assert typed == "--learning-rate must be positive; 'image_size' and a/image_size.csv are names; --seed"


def test_values_in_messages_are_those_that_are_typed():
    message = "adapt_bands=True spreads it; of a split (split=('val')), or stretch='lupton'; x=True stays"
    typed = cli.as_typed(message, cli.main.commands["predict"])
    assert typed == "--adapt-bands spreads it; of a split (--split val), or --stretch lupton; x=True stays"


def test_a_table_wider_than_the_terminal_is_printed_in_blocks_that_begin_with_its_first_column(capsys):
    table = pd.DataFrame({"cluster": ["a", "b"]} | {f"column {i}": [i + 0.5, i + 0.25] for i in range(12)})
    echo_table(table, "{:.2f}", width=60)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert sorted(" ".join(lines).split()).count("column") == 12 and all(
        f"{i}.50" in " ".join(lines) for i in range(12)
    )
    assert len({line.split()[0] for line in lines if line.strip()} - {"column", "cluster"}) == 2
    echo_table(table, "{:.2f}", width=1000)
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_tab_key_completes_verbs_options_and_files():
    complete = ShellComplete(cli.main, {}, "morphtools", "_MORPHTOOLS_COMPLETE").get_completions
    assert [each.value for each in complete([], "finet")] == ["finetune"]
    assert "--depth" in [each.value for each in complete(["finetune"], "--d")]
    assert [each.type for each in complete(["finetune", "--catalog"], "")] == ["file"]
