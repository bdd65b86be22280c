"""YAML as configurations and cards are read: 1e-3 is a number, and no key stands twice in one mapping."""

import re
from copy import deepcopy
from typing import Any

import yaml

__all__ = ["DuplicateKey", "load_yaml"]


class DuplicateKey(yaml.YAMLError):
    """A key that stands twice in one mapping: the first value would be lost."""


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        # A few nested aliases stand for billions of values, and one that contains itself never ends.
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read: write the value where it is used")
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # When the node is made: later, merges ("<<") put the keys of other mappings among its own.
        node = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in seen and isinstance(key, yaml.ScalarNode):
                where = f"in line {line}" if seen[name] == line else f"in line {seen[name]} and in line {line}"
                raise DuplicateKey(f"the key {key.value!r} stands twice, {where}: keep one of them")
            seen[name] = line
        return node


_Loader.yaml_implicit_resolvers = deepcopy(yaml.SafeLoader.yaml_implicit_resolvers)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_yaml(text: str) -> Any:
    """Plain data from YAML.

    Raises:
        yaml.YAMLError: If it is not YAML, or a key stands twice.

    Example:
        >>> load_yaml("lr: 1e-3")
        {'lr': 0.001}
        >>> load_yaml("lr: 1e-3\\nlr: 1e-2")
        Traceback (most recent call last):
        sciml.data.strict_yaml.DuplicateKey: the key 'lr' stands twice, in line 1 and in line 2: keep one of them
    """
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader with one more pattern
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        # PyYAML leaves these to Python where a value does not fit its tag: 2024-13-45, !!bool 3, !!timestamp now.
        raise yaml.YAMLError(f"a value that does not fit its type: {error}") from error
