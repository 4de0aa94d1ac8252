"""Stock Faust as its documentation shows it, doing nothing but decoding: the yardstick of `bench projection`.

    python -m infra.bench.stock_faust COUNT

Prints {"per_second": ...} over COUNT events of the topic `engagement`, after the first 5,000.
"""

import json
import os
import sys
import time
from uuid import uuid4

import faust

from schemas.registration import open_codec
from shared.environment import environment

WARM_UP = 5_000


def main(count: int) -> None:
    where = environment()
    decode = open_codec(where.schema_registry_url).decode
    app = faust.App(
        f"stock-{uuid4().hex}",
        broker=f"kafka://{where.kafka_bootstrap_servers}",
        store="memory://",
        datadir=str(where.var / "faust"),
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
    )
    topic = app.topic(where.topic("engagement"), value_type=bytes, value_serializer="raw", key_serializer="raw")

    @app.agent(topic)
    async def decoding(stream: faust.StreamT) -> None:
        seen, began = 0, 0.0
        async for value in stream:
            decode(value)
            seen += 1
            if seen == WARM_UP:
                began = time.monotonic()
            if seen == count:
                rate = (count - WARM_UP) / (time.monotonic() - began)
                # Faust's spinner has left half a line.
                print("\n" + json.dumps({"per_second": round(rate), "events": count}), flush=True)
                os._exit(0)  # it has served; its own farewell takes seconds and is not measured

    app.finalize()
    faust.Worker(app, loglevel="WARNING", quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(int(sys.argv[1]))
