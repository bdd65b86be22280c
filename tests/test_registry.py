"""Components by name: from entry points of fabricated installations, and registered by hand."""

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import sciml
from sciml.errors import ConfigError, PluginError, UnknownNameError
from sciml.registry import KINDS, Entry, ModelSpec, Registry, model_spec, refresh, registry

Install = Callable[..., Path]


@pytest.fixture(autouse=True)
def _fresh_view(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("SCIML_DISABLE_PLUGINS", raising=False)
    monkeypatch.setattr(registry("models"), "_registered", {})
    refresh()
    yield
    monkeypatch.undo()
    refresh()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Writes the metadata of an installed distribution, and optionally a module, into a new folder on the path."""

    def write(
        dist: str,
        components: dict[str, str],
        *,
        version: str = "1.0",
        requires: tuple[str, ...] = ("sciml>=0.1,<0.2",),
        group: str = "sciml.models",
        modules: dict[str, str] | None = None,
        entry_points: str | None = None,
    ) -> Path:
        site = tmp_path / f"site{len(list(tmp_path.iterdir()))}"
        info = site / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        head = ["Metadata-Version: 2.1", f"Name: {dist}", f"Version: {version}"]
        (info / "METADATA").write_text("\n".join(head + [f"Requires-Dist: {r}" for r in requires]) + "\n")
        lines = "".join(f"{name} = {value}\n" for name, value in components.items())
        (info / "entry_points.txt").write_text(entry_points or f"[{group}]\n{lines}")
        for name, source in (modules or {}).items():
            (site / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))
        refresh()
        return site

    return write


def test_import_of_the_registry_and_listing_load_neither_torch_nor_numpy():
    code = (
        "import sys; from sciml.registry import registry; list(registry('models').items()); print(sorted(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'sciml.registry'" in loaded
    assert "'torch'" not in loaded
    assert "'numpy'" not in loaded
    assert "'sciml.operators'" not in loaded


def test_the_core_is_its_own_first_plugin():
    entry = registry("models")["fno"]
    assert (entry.dist, entry.version, entry.error) == ("sciml", sciml.__version__, None)


def test_every_kind_of_the_design_has_a_registry_and_another_kind_has_none():
    design = "models datasets tasks methods problems formats converters solvers metrics analyses benchmarks"
    assert list(KINDS) == design.split()
    assert all(registry(kind).group == f"sciml.{kind}" for kind in KINDS)
    assert registry("models") is registry("models")
    with pytest.raises(UnknownNameError, match="Did you mean 'models'"):
        registry("model")


def test_a_plugin_is_listed_without_being_loaded_and_loaded_by_name(install):
    module = "raised = []\nclass Heat:\n    def __init__(self, modes=3): self.modes = modes\n"
    install("sciml-heat", {"heat": "heat_listed:Heat"}, modules={"heat_listed": module})
    assert registry("models")["heat"] == Entry("heat", "heat_listed:Heat", "sciml-heat", "1.0")
    assert "heat_listed" not in sys.modules
    assert registry("models").create("heat", modes=5).modes == 5
    assert registry("models").load("heat") is sys.modules["heat_listed"].Heat


def test_an_unknown_name_comes_with_close_matches_and_the_list(install):
    install("sciml-heat", {"heat-net": "heat:Heat", "waves": "heat:Waves"})
    with pytest.raises(UnknownNameError, match=r"unknown model 'heatnet'. Did you mean 'heat-net'.*Known.*waves"):
        registry("models").load("heatnet")


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import a_missing_package", "No module named 'a_missing_package'"),
        ("raise SystemExit('done')", "SystemExit: done"),
        ("1 +", "SyntaxError"),
        ("", "has no attribute 'Net'"),
    ],
)
def test_a_broken_component_names_distribution_and_cause_and_the_rest_works(install, source, cause):
    name = f"broken_{abs(hash(source))}"
    install("sciml-broken", {"broken": f"{name}:Net"}, version="2.3", modules={name: source})
    install("sciml-fine", {"fine": "builtins:dict"})
    assert "broken" in registry("models")
    with pytest.raises(PluginError, match=r"'broken' of sciml-broken 2\.3 cannot be loaded") as raised:
        registry("models").load("broken")
    assert cause in str(raised.value)
    assert "SCIML_DISABLE_PLUGINS=sciml-broken" in str(raised.value)
    assert registry("models").create("fine", a=1) == {"a": 1}


def test_damaged_metadata_of_one_distribution_leaves_the_others(install):
    install("sciml-damaged", {}, entry_points="[sciml.models]\nthis line has no equals sign\n")
    install("sciml-fine", {"fine": "builtins:dict"})
    with pytest.warns(UserWarning, match="damaged installation"):
        names = list(registry("models"))
    assert "fine" in names
    assert "fno" in names


@pytest.mark.parametrize("requires", ["sciml>=0.2,<0.3", "SciML<0.1", "sciml==99.*"])
def test_a_plugin_for_another_sciml_is_listed_as_incompatible_and_not_loaded(install, requires):
    install("sciml-old", {"old": "builtins:dict"}, requires=("numpy>=1", requires))
    assert "requires sciml" in registry("models")["old"].error
    with pytest.raises(
        PluginError, match=rf"sciml-old 1.0 is not loaded: .*this is sciml {sciml.__version__}.*pip inst"
    ):
        registry("models").load("old")


@pytest.mark.parametrize(
    "requires", [(), ("sciml",), ("sciml>=99; extra == 'future'",), ("scimlx>=99", "not a requirement!")]
)
def test_requirements_that_do_not_exclude_this_sciml_load(install, requires):
    install("sciml-fine", {"fine": "builtins:dict"}, requires=requires)
    assert registry("models")["fine"].error is None


def test_the_core_keeps_its_name_and_the_other_is_reachable_with_one_warning(install):
    install("a-plugin", {"fno": "builtins:dict"})
    with pytest.warns(UserWarning, match="'fno' is that of sciml, the other one is 'a-plugin:fno'") as caught:
        names = list(registry("models"))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(registry("models")) == names
    assert {"fno", "a-plugin:fno"} <= set(names)
    assert registry("models")["fno"].dist == "sciml"
    assert registry("models").create("a-plugin:fno", x=1) == {"x": 1}
    assert registry("models")["A_Plugin:fno"].dist == "a-plugin"
    assert registry("models")["sciml:fno"] == registry("models")["fno"]


def test_two_plugins_with_one_name_are_ordered_by_distribution_not_by_the_path(install):
    install("b-plugin", {"net": "builtins:list"})
    install("a-plugin", {"net": "builtins:dict"})
    install("b-late", {"net": "builtins:set"})
    with pytest.warns(UserWarning, match="several distributions"):
        assert registry("models")["net"].dist == "a-plugin"
    assert registry("models")["b-plugin:net"].value == "builtins:list"


def test_an_incompatible_plugin_does_not_take_a_name_from_one_that_works(install):
    install("a-plugin", {"net": "builtins:list"}, requires=("sciml>=99",))
    install("b-plugin", {"net": "builtins:dict"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registry("models")["net"].dist == "b-plugin"
    assert registry("models")["a-plugin:net"].error is not None


def test_a_leftover_of_an_earlier_installation_is_not_a_clash(install):
    install("sciml-heat", {"heat": "builtins:list", "gone": "builtins:list"}, version="0.9")
    install("sciml_heat", {"heat": "builtins:dict"}, version="1.0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registry("models")["heat"].version == "1.0"
    assert "gone" not in registry("models")
    assert "sciml-heat:heat" in registry("models")
    assert [name for name in registry("models") if ":" in name] == []


def test_disabled_distributions_are_skipped_by_normalised_name_but_never_the_core(install, monkeypatch):
    install("sciml-heat", {"heat": "builtins:dict"})
    install("sciml-waves", {"waves": "builtins:dict"})
    monkeypatch.setenv("SCIML_DISABLE_PLUGINS", "SciML_Heat, sciml")
    refresh()
    assert {"waves", "fno"} <= set(registry("models"))
    with pytest.raises(UnknownNameError, match="SCIML_DISABLE_PLUGINS skips sciml-heat"):
        registry("models").load("heat")


def test_a_registry_is_a_read_only_mapping():
    models = registry("models")
    assert models.get("no-such-model") is None
    assert models.get("fno") == models["fno"] == dict(models.items())["fno"]
    assert "no-such-model" not in models
    assert 3 not in models
    with pytest.raises(TypeError, match="item assignment"):
        models["x"] = 1


def test_registering_by_hand_refuses_installed_names_unless_told():
    models = Registry("sciml.models")
    with pytest.raises(ValueError, match=rf"sciml {sciml.__version__} has a model 'fno'.*override=True"):
        models.register("fno")
    models.register("fno", override=True)(dict)
    assert models.create("fno", a=1) == {"a": 1}
    assert models["fno"] == Entry("fno", "builtins:dict", "", "")
    assert models["sciml:fno"].dist == "sciml"
    models.register("mine")(dict)
    models.register("mine")(list)
    assert models.load("mine") is list
    with pytest.raises(ValueError, match="without a colon"):
        models.register("a:b")


def test_only_what_can_be_called_can_be_created():
    formats = Registry("sciml.formats")
    formats.register("finished")(42)
    assert formats.load("finished") == 42
    with pytest.raises(ConfigError, match=r"'finished' is a finished int: load\('finished'\)"):
        formats.create("finished")


def test_an_unmodified_foreign_class_works_through_a_model_spec():
    models = registry("models")

    def example() -> tuple[dict, dict]:
        sizes = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "num_encoder_layers": 1, "num_decoder_layers": 1}
        batch = {"x": torch.zeros(3, 5, 8), "queries": torch.zeros(3, 4, 8), "y": torch.zeros(3, 4, 8)}
        return {**sizes, "batch_first": True}, batch

    spec = ModelSpec(torch.nn.Transformer, inputs={"src": "x", "tgt": "queries"}, example=example, task="operator")
    models.register("foreign-transformer")(spec)
    found = model_spec("foreign-transformer")
    arguments, batch = found.example()
    model = models.create("foreign-transformer", **arguments)
    assert type(model) is torch.nn.Transformer
    assert models["foreign-transformer"].value == "torch.nn.modules.transformer:Transformer"
    output = model(**{argument: batch[key] for argument, key in found.inputs.items()})
    assert output.shape == batch["y"].shape


def test_model_spec_takes_what_is_left_open_from_the_class():
    class Net:
        inputs = {"field": "x"}  # noqa: RUF012
        task = "operator"

        @classmethod
        def from_spec(cls, spec):
            return cls()

        @staticmethod
        def example():
            return {}, {}

    spec = model_spec(Net)
    assert (spec.build, spec.inputs, spec.task) == (Net, {"field": "x"}, "operator")
    assert spec.from_spec.__func__ is Net.from_spec.__func__
    assert spec.example is Net.example
    changed = model_spec(ModelSpec(Net, inputs={"field": "z"}))
    assert (changed.inputs, changed.task) == ({"field": "z"}, "operator")


def test_model_spec_ignores_attributes_of_other_meaning():
    class Net:
        inputs = property(lambda self: 3)
        task = 7
        example = None

    spec = model_spec(Net)
    assert (dict(spec.inputs), spec.task, spec.example, spec.from_spec) == ({}, None, None, None)


def test_model_spec_refuses_what_is_no_model(install):
    with pytest.raises(TypeError, match="model is a int, expected"):
        model_spec(3)
    install("sciml-odd", {"odd": "string:digits"})
    with pytest.raises(PluginError, match="model 'odd' is a str, expected a class"):
        model_spec("odd")
