"""Reads home feeds without end, so that there are warm ones to be pushed to: python -m tests.chaos.reader"""

import random
import time

import psycopg

from query_api.feed.queries import home_recent_ids
from shared.environment import environment

PAUSE_SECONDS = 0.25
ITEMS = 50


def main() -> None:
    dice = random.Random()
    while True:
        try:
            with psycopg.connect(environment().read_database_url, autocommit=True) as connection:
                while True:
                    people = connection.execute("select user_id from profiles.person order by random() limit 20")
                    for (reader_id,) in dice.sample(found := people.fetchall(), len(found)):
                        home_recent_ids(reader_id, ITEMS)
                        time.sleep(PAUSE_SECONDS)
                    time.sleep(PAUSE_SECONDS)
        except Exception as error:  # whatever is away comes back
            print(f"{type(error).__name__}: {error}", flush=True)
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
