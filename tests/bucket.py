"""An S3 on a socket of the loopback interface, and the Airflow connection that leads to it."""

from __future__ import annotations

import json
import logging
from typing import Any, Self
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer

CONN_ID = "dead_letters_store"
REGION = "eu-north-1"
KEYS = {"login": "AKIAEMULATED", "password": "emulated-secret-key"}


# A connection to an S3 that nobody answers for.
AWAY = {
    "conn_type": "aws",
    **KEYS,
    "extra": {
        "endpoint_url": "http://127.0.0.1:9",
        "region_name": REGION,
        "config_kwargs": {"retries": {"max_attempts": 0}},
    },
}


class Bucket:
    """One bucket, within a ``with`` block. ``client`` is a second way in: what it does, another worker did."""

    name = "vte-wats"

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=KEYS["login"],
            aws_secret_access_key=KEYS["password"],
        )
        self.client.create_bucket(Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.stop()

    @property
    def connection(self) -> str:
        """The Airflow connection, in Airflow's JSON form."""
        extra = {"endpoint_url": self.url, "region_name": REGION}
        return json.dumps({"conn_type": "aws", **KEYS, "extra": extra})

    def a_place(self) -> str:
        """Return a ``storage_path`` that nobody else uses."""
        return f"s3://{CONN_ID}@{self.name}/{uuid4()}"

    def keys(self, place: str) -> list[str]:
        """Return the keys below a ``storage_path``, without it."""
        prefix = place.partition(f"@{self.name}/")[2] + "/"
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [content["Key"].removeprefix(prefix) for page in pages for content in page.get("Contents", ())]
