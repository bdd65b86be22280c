"""What stands behind ``sciml plugins list | new | check``: look at installed plugins, write a new one, check one."""

from sciml.plugins.check import Check, check_plugin, main_check
from sciml.plugins.listing import Component, list_plugins, main_list
from sciml.plugins.new import main_new, new_plugin

__all__ = [
    "Check",
    "Component",
    "check_plugin",
    "list_plugins",
    "main_check",
    "main_list",
    "main_new",
    "new_plugin",
]
