import pytest

from morphtools.studies import ablation


def test_all_augmentations_and_each_left_out_in_turn_are_compared(tmp_path, monkeypatch):
    asked = []

    def pretrain(method="byol", *, records=None, augmentations=None, without=None, epochs=20, out=None):
        asked.append((method, epochs, without, out.name))

        class Run:
            metrics = {"test": {"kind": {"value": 0.5 if without else 0.9}}}  # noqa: RUF012

        return Run()

    monkeypatch.setattr(ablation, "pretrain", pretrain)
    monkeypatch.setattr(ablation.Records, "open", lambda folder: type("Records", (), {"noise": None}))
    arguments = {"method": "simclr", "epochs": 3, "augmentations": "mohale2023"}
    table = ablation.ablate_augmentations(arguments, "records", out=tmp_path)
    parts = ["RandomView.rotation", "RandomView.flip", "RandomView.crop", "RandomBlur"]
    assert asked == [("simclr", 3, part, part or "all") for part in (None, *parts)]
    assert list(table["without"]) == ["nothing", *parts] and list(table["kind"]) == [0.9, 0.5, 0.5, 0.5, 0.5]
    assert (tmp_path / "ablation.csv").exists()
    with pytest.raises(ValueError, match=r"unknown part 'RandomBlurr'.*did you mean 'RandomBlur'"):
        ablation.ablate_augmentations(arguments, "records", parts="RandomBlurr", out=tmp_path)


def test_parts_are_left_out_together_and_all_encoders_fine_tuned_in_one_curve(tmp_path, monkeypatch):
    def pretrain(*, records, augmentations, without, out):
        return type("Run", (), {"metrics": {"test": {}}})()

    curves = []
    monkeypatch.setattr(ablation, "pretrain", pretrain)
    monkeypatch.setattr(ablation, "learning_curve", lambda *args, **options: curves.append((args, options)))
    how = {"labels": [0.1, 0.3], "finetuning": {"epochs": 2}, "seeds": 3, "out": tmp_path}
    table = ablation.ablate_augmentations(
        {"augmentations": "hayat2021_blur"}, "records", parts="RandomBlur,RandomBlur+RandomNoise", **how
    )
    assert list(table["without"]) == ["nothing", "RandomBlur", "RandomBlur+RandomNoise"]
    ((args, options),) = curves
    assert args == ("photoz", [0.1, 0.3]) and options["common"] == {"depth": "all", "epochs": 2}
    runs = {
        "all": "all",
        "without RandomBlur": "RandomBlur",
        "without RandomBlur+RandomNoise": "RandomBlur+RandomNoise",
    }
    assert options["ways"] == {way: {"weights": str(tmp_path / run)} for way, run in runs.items()}
    assert options["seeds"] == 3 and options["reference"] == "all" and options["records"] == "records"
