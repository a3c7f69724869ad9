"""What pyproject.toml cannot say: the wheel holds dags/ and include/ inside the package, all of one version."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages("plugins"), "vte_wats.dags", "vte_wats.include", "vte_wats.include.sql"],
    package_dir={
        "": "plugins",
        "vte_wats.dags": "dags",
        "vte_wats.include": "include",
        "vte_wats.include.sql": "include/sql",
    },
    py_modules=["vte_wats_plugin"],
)
