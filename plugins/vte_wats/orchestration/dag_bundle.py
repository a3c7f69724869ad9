"""The DAG files of the installed package, as a bundle: they are never of another version than their code."""

from __future__ import annotations

from typing import Any

from airflow.dag_processing.bundles.local import LocalDagBundle

from vte_wats.package_folders import package_folder


class VteWatsDagBundle(LocalDagBundle):
    """Named in ``[dag_processor] dag_bundle_config_list`` beside the bundles that are there already; takes no path."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(path=str(package_folder("dags")), **kwargs)
