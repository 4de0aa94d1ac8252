"""The demo's names and sentences: the same random source gives the same words, whatever the machine.

Nothing here is taken from real people; the graph's own data are anonymous numbers.
"""

from random import Random

FIRST_NAMES = (
    "Ada", "Aino", "Amara", "Ana", "Anouk", "Arjun", "Asha", "Ben", "Bianca", "Bruno", "Carla", "Chidi", "Clara",
    "Dario", "Deniz", "Diego", "Dina", "Edda", "Elif", "Emil", "Esther", "Farid", "Femi", "Finn", "Flora", "Goran",
    "Greta", "Hana", "Hugo", "Ida", "Ilias", "Ines", "Ivo", "Jana", "Jonas", "Joao", "Kaia", "Kenji", "Kira", "Lars",
    "Leila", "Lena", "Levi", "Lina", "Luca", "Maja", "Malik", "Mara", "Mateo", "Mei", "Mila", "Mira", "Nadia", "Nils",
    "Nina", "Noor", "Olga", "Omar", "Oskar", "Pablo", "Paula", "Petra", "Priya", "Quinn", "Rafa", "Rana", "Rosa",
    "Ruben", "Sami", "Sara", "Selma", "Sina", "Sofia", "Soren", "Tala", "Tariq", "Tess", "Theo", "Timo", "Uma",
    "Vera", "Victor", "Wanda", "Wei", "Xenia", "Yara", "Yusuf", "Zoe",
)  # fmt: skip
LAST_NAMES = (
    "Acker", "Alba", "Bauer", "Bergman", "Brandt", "Castell", "Dahl", "Demir", "Duarte", "Eklund", "Ferro", "Fischer",
    "Galli", "Haddad", "Hale", "Ito", "Jansen", "Kaya", "Keller", "Kovac", "Lange", "Lindqvist", "Marlow", "Mendes",
    "Moreau", "Nair", "Novak", "Okafor", "Olsen", "Pereira", "Petrov", "Quist", "Rao", "Reyes", "Rossi", "Sato",
    "Silva", "Solberg", "Tanaka", "Torres", "Ueda", "Varga", "Vidal", "Weber", "Winter", "Yildiz", "Zeman", "Zhou",
)  # fmt: skip
# The earlier a tag stands, the more often it is used: Zipf's law, as hashtags follow it.
HASHTAGS = (
    "morning", "coffee", "photography", "hiking", "music", "reading", "garden", "cycling", "cooking", "birds", "city",
    "sea", "film", "running", "baking", "autumn", "maps", "trains", "sketching", "astronomy", "chess", "climbing",
    "vinyl", "poetry", "tea", "winter", "swimming", "museum", "bread", "fungi", "kites", "radio", "ceramics", "rowing",
    "bees", "typography", "knitting", "rooks", "fjord", "dumplings",
)  # fmt: skip
OPENINGS = (
    "Just back from", "Still thinking about", "Today was all about", "Nothing beats", "A small note on",
    "Finally had time for", "My favourite part of the week:", "Woke up early for", "Could talk for hours about",
    "Learning something new about", "Quietly happy with", "The best cure for a grey day is", "Trying again with",
    "Somebody should write a book about", "Good company and", "Three hours well spent on",
)  # fmt: skip
SUBJECTS = (
    "the long way round the lake", "a second cup of coffee", "the new bread recipe", "an old record from the attic",
    "the night train", "a borrowed bicycle", "the first frost", "that tiny bookshop by the station",
    "a sky full of rooks", "the market at seven in the morning", "an unfinished sketch", "the museum's quiet rooms",
    "a chess game I should have won", "the tomato plants on the balcony", "rain on a tent", "the harbour at dusk",
    "a choir practising next door", "the last page of a good novel", "a map without names", "the smell of cedar",
    "two hills and one valley", "grandmother's dumplings", "a film nobody else liked", "the longest swim of the year",
)  # fmt: skip
CLOSINGS = (
    "", "Who else?", "More of this, please.", "Pictures follow.", "Recommended.", "Not sorry.", "Same time tomorrow?",
    "It took all afternoon.", "What are you up to?", "I needed that.", "Ask me anything.", "Slowly getting there.",
)  # fmt: skip
REMARKS = (
    "Love this.", "So true.", "Where is that?", "Take me along next time.", "This made my day.", "I had no idea.",
    "Same here, every single time.", "Beautiful.", "Tell us more!", "You have to show me how.", "I was there too!",
    "Now I want to go as well.", "Haha, exactly.", "Saving this for the weekend.", "Well said.",
    "How long did it take?",
)  # fmt: skip
ANSWERS = (
    "Thank you!", "Agreed.", "Any time.", "About two hours, with breaks.", "Not far from the old bridge.",
    "I will bring it along.", "You would like it.", "Ha, you too?", "Let us do that.", "It gets easier.",
)  # fmt: skip
_TAG_WEIGHTS = [1 / rank for rank in range(1, len(HASHTAGS) + 1)]


def post(random: Random, mention: str | None) -> str:
    """A sentence or two with up to two hashtags; `mention` is a username to address."""
    words = [f"{random.choice(OPENINGS)} {random.choice(SUBJECTS)}."]
    closing = random.choice(CLOSINGS)
    if mention is not None:
        words.append(f"@{mention} knows.")
    if closing:
        words.append(closing)
    tags = dict.fromkeys(random.choices(HASHTAGS, _TAG_WEIGHTS, k=random.choice((0, 1, 1, 2))))
    words.extend(f"#{tag}" for tag in tags)
    return " ".join(words)


def comment(random: Random, answers: bool, mention: str | None) -> str:
    """A short remark on a post, or an answer to somebody's remark."""
    remark = random.choice(ANSWERS if answers else REMARKS)
    return remark if mention is None else f"@{mention} {remark}"
