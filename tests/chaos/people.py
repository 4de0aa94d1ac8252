"""Seeds a small social graph through the commands and the log, and prints who may act: python -m tests.chaos.people

Its last line is a JSON list of [user id, username, access token]; of the first one, the others are no followers.
"""

import json
import os
from collections import Counter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "command_api.settings.base")

from infra.demo import seed
from shared import clock
from shared.environment import environment

PEOPLE = 60


def main() -> None:
    plan, _ = seed.seed(environment(), PEOPLE, clock.now())
    followers = Counter(follow.followee for follow in plan.follows)
    followed = min(range(PEOPLE), key=lambda number: followers[number])
    following = {follow.follower for follow in plan.follows if follow.followee == followed}
    told = [plan.people[number] for number in range(PEOPLE) if number != followed and number not in following]
    people = [plan.people[followed], *told]
    print(json.dumps([[str(one.user_id), one.username, seed.access_token(one.user_id)] for one in people]))


if __name__ == "__main__":
    main()
