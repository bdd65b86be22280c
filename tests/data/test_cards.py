"""Datasets by name, folder or file: lookup, checksums, options, grids."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciml.data import Dataset, Format, Split, find_dataset, list_datasets, load_dataset, open_dataset
from sciml.data.cards import read_card
from sciml.data.convert import hold_out
from sciml.data.formats.base import Fields, LayoutError
from sciml.data.info import describe_dataset
from sciml.errors import ConfigError, DataFormatError, SciMLError
from sciml.registry import registry
from sciml.spaces import DataSpec


def make(root: Path, name: str = "waves", **changes: Any) -> Path:
    """A folder with a card and one file of eight samples."""
    folder = root / name
    folder.mkdir(parents=True)
    x = torch.arange(64.0).reshape(8, 8)
    torch.save({"x": x, "y": torch.stack([x, x + 1, x + 2], 1)}, folder / "train.pt")
    (folder / "card.yaml").write_text(yaml.safe_dump(make_card(folder) | changes))
    return folder


def make_card(folder: Path) -> dict[str, Any]:
    return {
        "name": folder.name,
        "task": "operator",
        "source": "made in the test",
        "licence": "CC0",
        "obtain": "Ask for it.",
        "format": "neuraloperator-pt",
        "fields": {"x": {"role": "input", "units": "m"}, "y": {"role": "target", "time": "last"}},
        "grid": {"domain": [[0, 2]], "points": "periodic"},
        "splits": {"train": {"file": "train.pt", "sha256": sha256(folder / "train.pt")}},
    }


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def _no_other_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SCIML_DATA", raising=False)
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))


def test_darcy_small_has_the_splits_and_layout_of_its_card() -> None:
    data = load_dataset("darcy-small")
    assert {name: (len(data[name]), tuple(data[name]["y"].shape[1:])) for name in data} == {
        "train": (1000, (1, 16, 16)),
        "test_16": (50, (1, 16, 16)),
        "test_32": (50, (1, 32, 32)),
    }
    assert data.train["x"].unique().tolist() == [0.0, 1.0]
    assert data.spec["x"].role == "input"
    assert (data.spec.in_channels, data.spec.out_channels, data.spec.dim) == (1, 1, 2)
    assert data.card["licence"] == "MIT"


def test_the_files_of_darcy_small_are_unchanged() -> None:
    folder = find_dataset("darcy-small")
    raw = torch.load(folder / "darcy_test_32.pt", weights_only=True)
    split = load_dataset("darcy-small")["test_32"]
    assert torch.equal(split["x"][:, 0].bool(), raw["x"])
    assert torch.equal(split["y"][:, 0], raw["y"])


def test_the_grids_of_darcy_small_are_nested_as_the_data_are() -> None:
    """The coarse test set is every second point of the fine one: equal coordinates must give equal values."""
    data = load_dataset("darcy-small")
    coarse, fine = data["test_16"], data["test_32"]
    assert torch.equal(coarse["y"], fine["y"][..., ::2, ::2])
    for a, b in zip(coarse.grids["y"].axes, fine.grids["y"].axes, strict=True):
        torch.testing.assert_close(a, b[::2], rtol=0, atol=1e-15)
    assert coarse.grids["y"].axes[0][0] == 0
    assert float(coarse.grids["y"].weights.sum()) == pytest.approx(1)


def test_the_pressure_of_darcy_small_vanishes_at_both_walls_of_its_grid() -> None:
    y = load_dataset("darcy-small")["test_32"]["y"].double()[:, 0]
    at_one = 3 * y[:, -1] - 3 * y[:, -2] + y[:, -3]  # quadratic extrapolation from 29/32, 30/32, 31/32
    assert abs(float(y[:, 0].mean())) < 0.005
    assert abs(float(at_one.mean())) < 0.005
    assert float(y[:, -1].mean()) > 0.05


def test_burgers_small_maps_the_first_state_to_the_last() -> None:
    raw = torch.load(find_dataset("burgers-small") / "burgers_test_16.pt", weights_only=True)
    data = load_dataset("burgers-small", dtype="float64")
    assert torch.equal(data["test"]["x"][:, 0], raw["x"])
    assert torch.equal(data["test"]["y"][:, 0], raw["y"][:, -1])
    assert data.train.grids["x"].periodic == (True,)
    assert load_dataset("burgers-small").train["y"].dtype == torch.float32


def test_burgers_small_keeps_all_times_when_asked() -> None:
    data = load_dataset("burgers-small", trajectory=True)
    assert data.train["y"].shape == (800, 17, 16)
    assert data.spec.out_channels == 17
    assert torch.equal(data.train["y"][:, :1], data.train["x"])


def test_the_times_of_burgers_small_are_those_of_its_card() -> None:
    """A spectral solver from the smoothest initial states meets the second frame at t = 0.06 and not beside it."""
    data = load_dataset("burgers-small", trajectory=True, dtype="float64").train
    energy = np.abs(np.fft.rfft(data["x"][:, 0].numpy())) ** 2
    smooth = np.argsort(energy[:, 5:].sum(1) / energy.sum(1))[:20]
    frame = data["y"].numpy()[smooth, 1]
    spectrum = np.zeros((20, 65), dtype=complex)
    spectrum[:, :8] = 8 * np.fft.rfft(data["x"].numpy()[smooth, 0])[:, :8]  # from 16 to 128 points
    wave = 2j * np.pi * np.arange(65) * (np.arange(65) < 42)

    def rate(s: np.ndarray) -> np.ndarray:
        return -0.5 * wave * np.fft.rfft(np.fft.irfft(s) ** 2) + 0.01 * wave**2 * s

    errors, dt = {}, 2e-4
    for step in range(1, 321):
        k1 = rate(spectrum)
        k2 = rate(spectrum + dt / 2 * k1)
        k3 = rate(spectrum + dt / 2 * k2)
        spectrum = spectrum + dt / 6 * (k1 + 2 * k2 + 2 * k3 + rate(spectrum + dt * k3))
        errors[round(step * dt, 4)] = np.linalg.norm(np.fft.irfft(spectrum)[:, ::8] - frame) / np.linalg.norm(frame)
    assert min(errors, key=errors.__getitem__) == pytest.approx(0.06, abs=3e-4)
    assert errors[0.06] < 1e-3


@pytest.mark.parametrize("place", ["root", "SCIML_DATA", "SCIML_CACHE", "folder", "card"])
def test_datasets_are_found_in_all_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    folder = make(tmp_path / "data")
    if place.isupper():
        monkeypatch.setenv(place, str(tmp_path / "data"))
    name = {"folder": folder, "card": folder / "card.yaml"}.get(place, "waves")
    data = load_dataset(name, root=tmp_path / "data" if place == "root" else None)
    assert data.name == "waves"
    assert data.train["y"].shape == (8, 1, 8)
    assert data.train["y"][0, 0, 0] == 2
    assert data.spec["x"].units == "m"
    assert data.train.grids["x"].axes[0].tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]


def test_the_first_place_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {where: make(tmp_path / where, "darcy-small") for where in ("root", "environment", "cache")}
    monkeypatch.setenv("SCIML_DATA", f"{tmp_path / 'nowhere'}:{tmp_path / 'environment'}")
    assert find_dataset("darcy-small", tmp_path / "root") == folders["root"]
    assert find_dataset("darcy-small") == folders["environment"]
    monkeypatch.delenv("SCIML_DATA")
    assert find_dataset("darcy-small") == folders["cache"]


def test_an_unknown_name_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        LookupError, match=r"Did you mean 'darcy-small'\?.*Looked for NAME/card.yaml in: .*cache"
    ) as caught:
        load_dataset("darcy-smal", root=tmp_path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(LookupError, match="Did you mean"):
        find_dataset("burger-small")
    with pytest.raises(FileNotFoundError, match="no file or folder with a card"):
        load_dataset(tmp_path / "missing.pt")


def test_listing_reads_cards_only(tmp_path: Path) -> None:
    (make(tmp_path) / "train.pt").write_bytes(b"")
    broken = make(tmp_path, "broken")
    (broken / "card.yaml").write_text("a: [")
    cards = list_datasets(tmp_path)
    assert {"waves", "broken", "darcy-small", "burgers-small"} <= set(cards)
    assert cards["waves"]["source"] == "made in the test"
    assert "not a readable card" in cards["broken"]["error"]


def test_a_file_that_is_not_the_one_of_the_card_is_refused_also_after_it_was_read(tmp_path: Path) -> None:
    folder = make(tmp_path)
    load_dataset(folder)
    torch.save({"x": torch.zeros(8, 8), "y": torch.zeros(8, 3, 8)}, folder / "train.pt")
    with pytest.raises(DataFormatError, match=f"SHA-256 {sha256(folder / 'train.pt')}, expected"):
        load_dataset(folder)


def test_a_missing_file_says_how_to_get_it_and_may_lie_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "cards")
    elsewhere = tmp_path / "data" / "waves"
    elsewhere.mkdir(parents=True)
    (folder / "train.pt").rename(elsewhere / "train.pt")
    with pytest.raises(FileNotFoundError, match=r"train.pt is in none of .* Ask for it\."):
        load_dataset(folder)
    monkeypatch.setenv("SCIML_DATA", str(tmp_path / "data"))
    assert len(load_dataset(folder).train) == 8


@pytest.mark.parametrize("file", ["../../secret.pt", "/etc/passwd", ""])
def test_a_card_cannot_name_files_outside_its_folder(tmp_path: Path, file: str) -> None:
    with pytest.raises(DataFormatError, match="expected a path inside the folder"):
        load_dataset(make(tmp_path, splits={"train": {"file": file}}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not a readable card"),
        ("text", "expected a mapping"),
        ("name: waves", "lacks task, source"),
        ("!!python/object/apply:os.system ['touch canary']", "not a readable card"),
    ],
)
def test_damaged_cards_are_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(DataFormatError, match=message):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {}}, r"splits is \{\}, expected a mapping of splits, such as"),
        ({"fields": {"z": {"role": "input"}}}, "no array 'z'; there are x, y"),
        ({"grid": {"domain": [[0, 1], [0, 1]], "points": "closed"}}, "2 axes; expected"),
        ({"grid": {"domain": [[0, 1]], "points": "anywhere"}}, "grid.points is 'anywhere', expected one of closed"),
        ({"format": "fno-mat"}, "fno-mat: no MATLAB header"),
    ],
)
def test_cards_that_do_not_fit_their_data_are_explained(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataFormatError, match=message):
        load_dataset(make(tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"train": 3}}, r"card\.yaml: splits\.train is 3, expected a mapping such as \{file: train\.pt"),
        ({"splits": {1: {"file": "train.pt"}}}, "the name of an entry of splits is 1, expected a text"),
        ({"splits": {"train": {"samples": 8}}}, r"splits\.train lacks file, expected a path inside"),
        (
            {"splits": {"train": {"file": "train.pt", "sha256": 12}}},
            r"train\.sha256 is 12, expected the 64 hexadecimal",
        ),
        (
            {"splits": {"train": {"file": "train.pt", "samples": "8"}}},
            r"samples is '8', expected the number of samples",
        ),
        (
            {"splits": {"train": {"file": "train.pt", "samples": 99}}},
            r"train\.samples is 99, but train\.pt has 8\. Corr",
        ),
        (
            {"splits": {"train": {"file": "train.pt", "resolution": [16]}}},
            r"splits\.train\.resolution is \[16\], but train\.pt has \[8\]",
        ),
        ({"grid": 7}, r"grid is 7, expected a mapping such as \{domain"),
        ({"grid": {"points": "closed"}}, "grid lacks domain, expected a list of intervals"),
        ({"grid": {"domain": [[1, 0]], "points": "closed"}}, r"grid\.domain is \[\[1, 0\]\], expected a list of inter"),
        ({"format": [1]}, r"format is \[1\], expected the name of a format"),
        ({"format": "neuraloperator"}, "Did you mean 'neuraloperator-pt'"),
        ({"fields": {"x": "input"}}, r"fields\.x is 'input', expected a mapping such as \{role: input"),
        ({"fields": {"x": {"role": "inputs"}}}, r"fields\.x\.role is 'inputs', expected one of input, target"),
        ({"fields": {"y": {"time": "first"}}}, r"fields\.y\.time is 'first', expected last"),
        ({"name": 3}, "name is 3, expected the name of the dataset"),
        ({"name": "../other"}, "a text without slashes"),
        ({"licence": False}, r"licence is False, expected a text \(numbers, dates and yes or no in quotes\)"),
        ({"dtype": "float16"}, "dtype is 'float16', expected float32 or float64"),
        ({"options": {"allow_nan": "no"}}, r"options\.allow_nan is 'no', expected true or false"),
        ({"notes": [{"Units": "none"}]}, "notes is .*, expected a list of texts"),
    ],
)
def test_a_wrong_value_in_a_card_is_named_with_what_was_expected(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = make(tmp_path)
    (folder / "card.yaml").write_text(yaml.safe_dump(make_card(folder) | changes))
    with pytest.raises(SciMLError, match=message) as caught:
        load_dataset(folder)
    assert "card.yaml" in str(caught.value) or "unknown format" in str(caught.value)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(["train.pt", "..", "input", "target", "last", "closed", "left", "x", "auto", 10**400, b"1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
# Every place of a card: its own keys, and those of one field, of one split and of the grid.
PLACES = [
    *[
        (key,)
        for key in ("name", "task", "source", "licence", "format", "dtype", "options", "fields", "splits", "grid")
    ],
    *[(key,) for key in ("title", "equation", "description", "citation", "obtain", "licence_file", "notes", "other")],
    *[("fields", "x"), *(("fields", "x", key) for key in ("role", "units", "time", "label", "meaning", "other"))],
    *[("fields", "y", key) for key in ("role", "time")],
    *[("splits", "train"), *(("splits", "train", key) for key in ("file", "samples", "resolution", "sha256", "other"))],
    *[("grid", key) for key in ("domain", "points", "axes", "other")],
    *[("options", key) for key in ("allow_nan", "channels", "other")],
]


@pytest.fixture(scope="module")
def card_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("cards"))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_whatever_stands_in_a_card_it_loads_or_the_error_is_one_for_the_user(
    card_folder: Path, changes: list[tuple[tuple[str, ...], Any]]
) -> None:
    plain = make_card(card_folder)
    for place, value in changes:
        inner = plain
        for key in place[:-1]:
            if not isinstance(inner.get(key), dict):
                inner[key] = {}
            inner = inner[key]
        inner[place[-1]] = value
    (card_folder / "card.yaml").write_text(yaml.safe_dump(plain, allow_unicode=True), encoding="utf-8")
    listed = list_datasets(card_folder.parent)[card_folder.name]
    error = None
    try:
        data = load_dataset(card_folder)
    except (SciMLError, FileNotFoundError) as caught:
        error = caught
    if error is None:
        assert len(data["train"]) == 8
        assert "error" not in listed
    else:
        assert len(str(error)) > 20
    describe_dataset(card_folder.name, card_folder.parent)


@pytest.mark.parametrize(
    "line", ["date: 2024-13-45", "a: !!bool 3", "a: !!timestamp now", "a: !!int x", "? [1, 2]\n: 3", "a: 0x_"]
)
def test_a_value_that_does_not_fit_its_tag_is_no_readable_card(tmp_path: Path, line: str) -> None:
    folder = make(tmp_path)
    with (folder / "card.yaml").open("a") as file:
        file.write(line)
    with pytest.raises(DataFormatError, match="is not a readable card"):
        read_card(folder)


def test_nothing_can_be_held_out_without_a_training_split(tmp_path: Path) -> None:
    folder = make(tmp_path, splits={"test": {"file": "train.pt"}})
    assert len(load_dataset(folder)["test"]) == 8
    with pytest.raises(ConfigError, match="no train split to take it from; there are test"):
        load_dataset(folder, validation=2)


@given(num=st.integers(2, 30), seed=st.none() | st.integers(0, 5), data=st.data())
def test_holding_out_splits_the_samples_and_keeps_their_order(num: int, seed: int | None, data: st.DataObject) -> None:
    held = data.draw(st.integers(1, num - 1))
    parts = hold_out({"train": Split({"x": torch.arange(num)}), "test": Split({"x": torch.arange(2)})}, held, seed)
    train, val = parts["train"]["x"].tolist(), parts["val"]["x"].tolist()
    assert list(parts) == ["train", "val", "test"]
    assert sorted(train + val) == list(range(num))
    assert (train, val) == (sorted(train), sorted(val))
    if seed is None:
        assert val == list(range(num - held, num))


def test_a_fraction_can_be_held_out_at_random() -> None:
    parts = [load_dataset("darcy-small", validation=0.1, seed=seed)["val"]["y"] for seed in (0, 0, 1)]
    assert len(parts[0]) == 100
    assert torch.equal(parts[0], parts[1])
    assert not torch.equal(parts[0], parts[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 1000}, "expected 1 to 999, or a fraction"),
        ({"validation": 1.5}, "expected 1 to 999, or a fraction"),
        ({"validation": -1}, "expected 1 to 999, or a fraction"),
        ({"dtype": "float16"}, "expected one of float32, float64"),
        ({"trajectory": True}, "no field of darcy_train_16.pt has a time axis"),
        ({"size": 3}, "no option size; there are validation, seed, dtype, trajectory"),
    ],
)
def test_options_that_do_not_fit_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_dataset("darcy-small", **options)


def test_a_data_file_becomes_a_dataset(tmp_path: Path) -> None:
    x = torch.rand(6, 8, 4)
    torch.save({"x": x, "y": 2 * x}, tmp_path / "waves.pt")
    data = load_dataset(tmp_path / "waves.pt", validation=2)
    assert (data.name, len(data.train), len(data["val"])) == ("waves", 4, 2)
    assert torch.equal(data["val"]["y"][:, 0], 2 * x[4:])
    assert data.train.grids == {}


def test_an_aligned_deeponet_file_becomes_a_dataset_with_shared_points(tmp_path: Path) -> None:
    objects = np.empty(2, dtype=object)
    objects[0], objects[1] = np.ones((5, 7)), np.ones((6, 2))
    np.savez(tmp_path / "a.npz", X=objects, y=np.ones((5, 6)))
    data = load_dataset(tmp_path / "a.npz")
    assert {name: tuple(value.shape) for name, value in data.train.tensors.items()} == {
        "u": (5, 7),
        "coords": (6, 2),
        "y": (5, 6),
    }
    assert data.train.shared == {"coords"}
    assert data.spec["coords"].shared
    assert (data.spec["u"].channels, data.spec["u"].shape) == (None, (7,))


def test_a_file_with_coordinates_brings_its_grid(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["nu"], file["tensor"] = np.ones((3, 4, 8)), np.ones((3, 1, 4, 8))
        file["x-coordinate"], file["y-coordinate"] = (np.arange(4) + 0.5) / 4, (np.arange(8) + 0.5) / 4
    data = load_dataset(tmp_path / "a.hdf5")
    assert data.train["x"].shape == data.train["y"].shape == (3, 1, 4, 8)
    assert data.train.grids["y"].bounds == ((0.0, 1.0), (0.0, 2.0))
    assert data.train.grids["y"].alignment == "cell"


def test_axes_are_put_in_the_order_of_coordinates() -> None:
    from sciml.data.convert import split_of

    values = np.random.default_rng(0).random((2, 3, 5, 4, 6))  # y before x, channels last
    fields = Fields("demo", Path("demo"), {"y": values}, {"y": ("sample", "time", "x2", "x1", "channel")})
    last = split_of(fields, {"y": {"time": "last"}}, dtype=torch.float64)["y"]
    assert last.shape == (2, 6, 4, 5)
    assert last[1, 2, 3, 4] == values[1, -1, 4, 3, 2]
    whole = split_of(fields, {"y": {"time": "last"}}, dtype=torch.float64, trajectory=True)["y"]
    assert whole.shape == (2, 18, 4, 5)
    assert whole[1, 6 * 1 + 2, 3, 4] == values[1, 1, 4, 3, 2]


def test_a_file_that_leaves_open_what_to_learn_is_explained(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X_train0=np.ones((3, 4)), X_train1=np.ones((3, 1)), y_train=np.ones((3, 1)))
    with pytest.raises(ConfigError, match="does not say what is input and what is target"):
        load_dataset(tmp_path / "a.npz")


@pytest.fixture
def plugin() -> Iterator[None]:
    yield
    for kind in ("datasets", "formats"):
        for name in [name for name in registry(kind) if name.startswith("demo-")]:
            del registry(kind)._registered[name]


@pytest.mark.usefixtures("plugin")
def test_datasets_of_plugins_are_loaded_by_name() -> None:
    @registry("datasets").register("demo-waves")
    def waves(num: int = 3) -> Dataset:
        return Dataset({"train": Split({"x": torch.zeros(num)})}, DataSpec(), "demo-waves")

    registry("datasets").register("demo-wrong")(lambda: 3)
    assert len(load_dataset("demo-waves", num=5).train) == 5
    assert list_datasets()["demo-waves"] == {"name": "demo-waves", "source": "registered in this process"}
    with pytest.raises(ConfigError, match="gave a int, expected"):
        load_dataset("demo-wrong")


@pytest.mark.usefixtures("plugin")
def test_formats_of_plugins_are_tried_too(tmp_path: Path) -> None:
    def read(path: Path, allow_nan: bool = False) -> Fields:
        if path.read_bytes() != b"DEMO1":
            raise LayoutError("not version 1", [("version", "2")])
        return Fields("demo-format", path, {"x": np.ones((1, 2))}, {"x": ("sample", "x1")})

    registry("formats").register("demo-format")(Format("demo-format", lambda path, head: head[:4] == b"DEMO", read))
    (tmp_path / "a").write_bytes(b"DEMO1")
    (tmp_path / "b").write_bytes(b"DEMO2")
    assert open_dataset(tmp_path / "a").format == "demo-format"
    with pytest.raises(DataFormatError, match=r"Found: version 2\. Tried: .*demo-format: not version 1"):
        open_dataset(tmp_path / "b")


@pytest.mark.usefixtures("plugin")
def test_the_registered_names_of_the_small_datasets_give_what_load_dataset_gives() -> None:
    for name in ("darcy-small", "burgers-small"):
        assert registry("datasets").create(name, validation=10).hash == load_dataset(name, validation=10).hash


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": "many"}, r"data\.validation is 'many', expected a number of samples or a fraction"),
        ({"validation": True}, r"data\.validation is True"),
        ({"seed": 1.5}, r"data\.seed is 1\.5, expected an integer or null"),
        ({"trajectory": "yes"}, r"data\.trajectory is 'yes', expected true or false"),
        ({"dtype": 32}, r"data\.dtype is 32"),
        ({"validaton": 3}, r"no option validaton.*Did you mean 'validation'"),
    ],
)
def test_options_of_a_wrong_kind_are_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_dataset(make(tmp_path), **options)
    with pytest.raises(ConfigError, match=message):
        load_dataset(tmp_path / "waves" / "train.pt", **options)


def test_a_card_with_a_key_twice_or_without_content_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path)
    card = folder / "card.yaml"
    card.write_text(card.read_text() + "licence: MIT\n")
    with pytest.raises(DataFormatError, match="the key 'licence' stands twice"):
        read_card(folder)
    card.write_text("")
    with pytest.raises(DataFormatError, match="is empty"):
        read_card(folder)


def test_complex_fields_are_refused_in_files_and_cards(tmp_path: Path) -> None:
    folder = make(tmp_path)
    x = torch.randn(8, 8, dtype=torch.complex64)
    torch.save({"x": x, "y": x.abs()}, folder / "train.pt")
    card = yaml.safe_load((folder / "card.yaml").read_text())
    del card["splits"]["train"]["sha256"]
    (folder / "card.yaml").write_text(yaml.safe_dump(card))
    for source in (folder, folder / "train.pt"):
        with pytest.raises(ConfigError, match=r"x holds complex numbers \(complex64\).*two channels"):
            load_dataset(source)
    np.savez(tmp_path / "mine.npz", x=x.numpy(), y=x.abs().numpy())
    with pytest.raises(ConfigError, match=r"numpy\.stack\(\[x\.real, x\.imag\], axis=1\)"):
        load_dataset(tmp_path / "mine.npz")


def test_a_file_without_a_target_says_what_it_is_good_for(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(3, 8)}, tmp_path / "new.pt")
    with pytest.raises(ConfigError, match=r"without a target.*sciml predict"):
        load_dataset(tmp_path / "new.pt")


def test_an_attribute_called_units_is_no_description(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "darcy.h5", "w") as file:
        file["nu"], file["tensor"] = np.ones((3, 8, 8)), np.ones((3, 1, 8, 8))
        file.attrs["units"] = "SI"
    assert load_dataset(tmp_path / "darcy.h5").train["y"].shape == (3, 1, 8, 8)


def test_the_refusal_of_a_plugin_dataset_names_its_options() -> None:
    @registry("datasets").register("odd-for-test")
    def odd(size: int = 1) -> Dataset:
        raise ValueError("size must be even")

    with pytest.raises(ConfigError, match="dataset odd-for-test cannot be made with size=3: size must be even"):
        load_dataset("odd-for-test", size=3)
    with pytest.raises(ConfigError, match="unexpected keyword argument 'length'"):
        load_dataset("odd-for-test", length=3)
