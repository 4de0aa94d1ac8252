"""A small catalogue that has lived through every kind of change; the code that reads it is the product's.

PostRated: stars in version 1, percent instead in version 2 (an upcaster reads version 1), a note added in version 3.
PostHearted: retired, folds still answer it. PostDisliked: retired, read as a PostRated by an upcaster.
"""

from pathlib import Path

from schemas.catalogue import read_schemas
from schemas.contract import Contract
from tests.schemas.evolution.types import EVENT_TYPES
from tests.schemas.evolution.upcasters import UPCASTERS

FOLDER = Path(__file__).resolve().parent
EVOLUTION = Contract(read_schemas(FOLDER), EVENT_TYPES, UPCASTERS)
