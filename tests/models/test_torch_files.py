import collections
import copyreg
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from morphtools.models.torch_files import read_torch

LEGACY = pytest.mark.parametrize("legacy", [False, True])


def tensors(seed=0):
    rng = np.random.default_rng(seed)
    return collections.OrderedDict(
        {
            "a.weight": rng.normal(size=(4, 3, 2, 2)).astype("float32"),
            "a.bias": rng.normal(size=4),
            "half": rng.normal(size=(2, 5)).astype("float16"),
            "n": np.array(7, "int64"),
            "none": np.zeros((0, 3), "float32"),
        }
    )


@LEGACY
def test_all_tensors_come_back_as_they_were(tmp_path, torch_save, legacy):
    expected = tensors()
    got = read_torch(torch_save(expected, tmp_path / "a.pth", legacy))
    assert list(got) == list(expected)
    for name, values in expected.items():
        assert got[name].dtype == values.dtype
        np.testing.assert_array_equal(got[name], values)


@LEGACY
def test_tensors_in_dictionaries_have_the_names_of_both(tmp_path, torch_save, legacy):
    content = {"epoch": 3, "state_dict": tensors(), "args": ["x", 1.5, None, (True,)]}
    got = read_torch(torch_save(content, tmp_path / "a.pth", legacy))
    assert list(got) == [f"state_dict.{name}" for name in tensors()]


@LEGACY
def test_the_question_tree_in_a_checkpoint_of_zoobot_is_passed_over(tmp_path, torch_save, monkeypatch, legacy):
    module = types.ModuleType("zoobot.shared.schemas")
    for name in ("zoobot", "zoobot.shared", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("Schema", "Question"):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))
    schema, question = module.Schema(), module.Question()
    schema.questions, question.schema, question.text = [question], schema, "smooth-or-featured"
    content = {"hyper_parameters": {"schema": schema}, "state_dict": {"encoder.x": np.ones(3, "float32")}}
    assert list(read_torch(torch_save(content, tmp_path / "a.ckpt", legacy))) == ["state_dict.encoder.x"]


@LEGACY
def test_numbers_in_bfloat16_are_the_upper_half_of_float32(tmp_path, torch_save, legacy):
    values = np.array([1.0, -2.5, 0.15625, 3e38], "float32")
    bits = (values.view("uint32") >> 16).astype("uint16")
    got = read_torch(torch_save({"x": bits}, tmp_path / "a.bin", legacy))["x"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, values, rtol=2**-8)
    np.testing.assert_array_equal(got[:3], values[:3])  # these need no more than eight bits


class Harm:
    """A pickle that creates a file if it is read carelessly."""

    def __init__(self, how, marker):
        self.how, self.marker = how, str(marker)

    def __reduce__(self):
        import os
        import subprocess

        code = f"open({self.marker!r}, 'w').close()"
        return {
            "os.system": (os.system, (f"touch {self.marker}",)),
            "builtins.eval": (eval, (f"__import__('os').system('touch {self.marker}')",)),
            "builtins.exec": (exec, (code,)),
            "builtins.open": (open, (self.marker, "w")),
            "builtins.getattr": (getattr, (Harm("builtins.exec", self.marker), "real")),
            "subprocess": (subprocess.call, (["touch", self.marker],)),
            "numpy": (np.ndarray.tofile, (np.zeros(1), self.marker)),
            "builtins.__import__": (__import__, ("antigravity",)),
            "functools": (__import__("functools").partial, (exec, code)),
            "operator": (__import__("operator").methodcaller, ("__init__",)),
            "copyreg": (copyreg._reconstructor, (collections.UserDict, object, None)),
            "a list with code in it": (list, ([Harm("builtins.exec", self.marker)],)),
            "a dict that is built": (collections.OrderedDict, (), {"x": Harm("os.system", self.marker)}),
        }[self.how]


HARMS = ("os.system", "builtins.eval", "builtins.exec", "builtins.open", "builtins.getattr", "subprocess", "numpy")
HARMS += ("builtins.__import__", "functools", "operator", "copyreg")
HARMS += ("a list with code in it", "a dict that is built")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@LEGACY
@pytest.mark.parametrize("how", HARMS)
def test_a_pickle_that_runs_something_is_refused_before_it_runs(tmp_path, pack, how, legacy, protocol):
    marker, path = tmp_path / "harm", tmp_path / "a.pth"
    pack(pickle.dumps({"x": Harm(how, marker)}, protocol), path, legacy=legacy)
    with pytest.raises(ValueError, match=r"calls for .* not part of a tensor"):
        read_torch(path)
    assert not marker.exists()


def instructions(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


DICT = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    "pickled",
    [
        instructions(b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n"),
        b"\x80\x04\x8c\x0ctorch._utils\x8c\x2a_rebuild_tensor_v2.__globals__.__getitem__\x93.",
        instructions(b"ctorch.storage\n_load_from_bytes\n", b"U\x01x", b"\x85R"),  # torch.load inside torch.load
        instructions(b"ctorch\nhub.load\n"),
        instructions(b"cos\nsystem\n"),
        instructions(b"(ios\nsystem\n"),  # the instruction of protocol 0 that calls at once
        instructions(b"\x82\x01"),  # an extension of copyreg
        instructions(REBUILD, b"}", b"U\x08__code__", b"K\x01", b"s", b"b"),  # changes the function
        instructions(REBUILD, b"N}", b"U\x08__call__", b"K\x01", b"s", b"\x86", b"b"),
        instructions(DICT, b"N}", b"U\x05items", b"K\x01", b"s", b"\x86", b"b"),  # changes the class
        instructions(b"ctorch\nFloatStorage\n", b")R"),
        instructions(REBUILD, b"(K\x01K\x00)))", b"tR"),
        b"\x80\x02" + b"(" * 100_000,
        b"",
        b"no pickle",
    ],
)
@LEGACY
def test_other_tricks_end_in_one_sentence(tmp_path, pack, pickled, legacy):
    pack(pickled, tmp_path / "a.pth", legacy=legacy)
    with pytest.raises(ValueError, match="cannot be read as a file of PyTorch tensors"):
        read_torch(tmp_path / "a.pth")


@LEGACY
def test_what_one_file_tried_to_change_is_not_changed_for_the_next(tmp_path, pack, torch_save, legacy):
    pack(instructions(DICT, b")R", b"}", b"U\x05items", b"K\x01", b"s", b"b"), tmp_path / "a.pth", legacy=legacy)
    assert read_torch(tmp_path / "a.pth") == {}
    assert list(read_torch(torch_save(tensors(), tmp_path / "b.pth", legacy))) == list(tensors())


@pytest.mark.parametrize(
    "layout", [((10,), (1,)), ((3,), (2,)), ((1000, 1000, 1000), (0, 0, 0)), ((-1,), (1,)), ((2,), (-1,))]
)
@LEGACY
def test_a_tensor_larger_than_its_numbers_is_refused(tmp_path, torch_save, layout, legacy):
    path = torch_save({"x": np.zeros(4, "float32")}, tmp_path / "a.pth", legacy, layout)
    with pytest.raises(ValueError, match=r"larger than its numbers|negative size"):
        read_torch(path)


def test_a_compressed_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**6)
    with pytest.raises(ValueError, match="compressed"):
        read_torch(tmp_path / "a.pth")


@LEGACY
def test_a_file_cut_anywhere_is_refused(tmp_path, torch_save, legacy):
    whole = torch_save(tensors(), tmp_path / "a.pth", legacy).read_bytes()
    for length in range(0, len(whole) - 1, 37):
        (tmp_path / "b.pth").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"b\.pth cannot be read"):
            read_torch(tmp_path / "b.pth")
