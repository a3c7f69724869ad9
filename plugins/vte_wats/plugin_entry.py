"""The plugin for an Airflow with a plugins folder of its own, which finds it by the entry point of the package."""

from __future__ import annotations

from pathlib import Path

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk.configuration import conf


def plugin_to_load(plugins_folder: Path) -> type[AirflowPlugin] | None:
    """Return the plugin, or nothing where the folder holds it: Airflow reports a plugin that it finds twice."""
    if (plugins_folder / "vte_wats_plugin.py").is_file():
        return None
    from vte_wats_plugin import VteWatsPlugin  # noqa: PLC0415 -- beside the package, not in it

    return VteWatsPlugin


plugin = plugin_to_load(Path(conf.get("core", "plugins_folder")))
