"""What Airflow learns about this package: the connection types VTE and WATS with their forms."""

from __future__ import annotations

from typing import Any

from vte_wats.wats.wats_connection import WatsOptions


def get_provider_info() -> dict[str, Any]:
    """Return the provider metadata that Airflow reads from the package's entry point."""
    return {
        "package-name": "vte-wats",
        "name": "VTE WATS",
        "description": "Keysight VTE test runs into WATS.",
        "extra-links": ["vte_wats.orchestration.wats_link.OpenInWats"],
        "connection-types": [
            {
                "connection-type": "vte",
                "hook-class-name": "vte_wats.vte.vte_hook.VteHook",
                "hook-name": "VTE (SQL Server)",
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {"host": "SQL Server", "schema": "Database"},
                    "placeholders": {
                        "port": "1433",
                        "schema": "VTE9_3",
                        "login": "vte_adapter_readonly",
                        "extra": '{"encryption": "require"}',
                    },
                },
            },
            {
                "connection-type": "wats",
                "hook-class-name": "vte_wats.wats.hook.WatsHook",
                "hook-name": "WATS",
                "conn-fields": _form_fields(),
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "extra"],
                    "relabeling": {"host": "WATS server", "password": "API token (or password beside a login)"},
                    "placeholders": {"host": "https://acme.wats.com", "login": "leave empty with an API token"},
                },
            },
        ],
    }


def _form_fields() -> dict[str, dict[str, Any]]:
    """Describe each option to the form as the connection validates it; an empty field means the default."""
    described = WatsOptions.model_json_schema()
    fields = {}
    for name, option in described["properties"].items():
        schema = {key: option[key] for key in _RULES if key in option}
        if "$ref" in option:
            choices = described["$defs"][option["$ref"].rpartition("/")[2]]
            schema |= {"type": choices["type"], "enum": choices["enum"]}
        else:
            schema["type"] = [option.get("type", "string"), "null"]
        fields[name] = {"label": option["title"], "description": option["description"], "schema": schema}
    return fields


_RULES = ("default", "minimum", "maximum", "exclusiveMinimum")
