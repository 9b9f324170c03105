"""What the demo's requests are made of: kinds of values, and the arguments of tools that take them.

A `Kind` draws a value; the value is copied from the request into the call, except that a flag is stated by one of two phrases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from toolrl.types import Json


@dataclass(frozen=True, slots=True)
class Words:
    """A string out of a list; `closed` makes it an enum of the schema."""

    values: tuple[str, ...]
    closed: bool = False

    @property
    def schema(self) -> dict[str, Json]:
        """JSON schema of the value."""
        return {"type": "string", "enum": list(self.values)} if self.closed else {"type": "string"}

    def draw(self, random: Random) -> tuple[str, str]:
        """Draw a value and the text that states it."""
        value = random.choice(self.values)
        return value, value


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer from `low` to `high`, both included."""

    low: int
    high: int

    @property
    def schema(self) -> dict[str, Json]:
        """JSON schema of the value."""
        return {"type": "integer"}

    def draw(self, random: Random) -> tuple[int, str]:
        """Draw a value and the text that states it."""
        value = random.randint(self.low, self.high)
        return value, str(value)


@dataclass(frozen=True, slots=True)
class Tenths:
    """A number between `low` and `high` with one decimal, which is never 0: whether 4.0 is 4 is no question of the demo."""

    low: int
    high: int

    @property
    def schema(self) -> dict[str, Json]:
        """JSON schema of the value."""
        return {"type": "number"}

    def draw(self, random: Random) -> tuple[Decimal, str]:
        """Draw a value and the text that states it."""
        text = f"{random.randint(self.low, self.high - 1)}.{random.randint(1, 9)}"
        return Decimal(text), text


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false, each stated by a phrase."""

    on: str
    off: str

    @property
    def schema(self) -> dict[str, Json]:
        """JSON schema of the value."""
        return {"type": "boolean"}

    def draw(self, random: Random) -> tuple[bool, str]:
        """Draw a value and the text that states it."""
        value = random.random() < 0.5
        return value, self.on if value else self.off


Kind = Words | Whole | Tenths | Flag


def _words(text: str, *, closed: bool = False) -> Words:
    return Words(tuple(text.split("|")), closed)


KINDS: Mapping[str, Kind] = {
    "city": _words("Paris|London|Rome|Tokyo|Berlin|Madrid|Oslo|Lima|Cairo|Boston|Dublin|Vienna"),
    "person": _words("Anna|Ben|Clara|David|Emma|Felix|Grace|Henry|Iris|Jack|Kate|Leo"),
    "weekday": _words("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"),
    "dish": _words("pasta|ramen|curry|tacos|salad|risotto|paella|soup|pizza|lasagna|sushi|stew"),
    "cuisine": _words("Italian|Thai|Mexican|Indian|French|Greek|Korean|Turkish"),
    "genre": _words("jazz|rock|opera|blues|folk|techno|swing|soul"),
    "artist": _words("Mozart|Adele|Queen|Bach|Prince|Sade|Chopin|Santana"),
    "product": _words("laptop|camera|phone|desk|lamp|bike|tent|guitar|running shoes|coffee maker|office chair|rain jacket"),
    "language": _words("Spanish|German|Polish|Arabic|Hindi|Swedish|Danish|Dutch"),
    "phrase": _words("good morning|thank you|see you soon|happy birthday|no problem|good night|well done|welcome home"),
    "currency": _words("USD|EUR|GBP|JPY|CHF|CAD|AUD|SEK"),
    "stock": _words("AAPL|MSFT|NVDA|TSLA|AMZN|META|NFLX|ORCL"),
    "room": _words("kitchen|bedroom|office|garage|bathroom|hallway|cellar|attic"),
    "color": _words("red|blue|green|white|purple|orange|yellow|pink"),
    "subject": _words("physics|biology|history|chess|poetry|algebra|geology|robotics"),
    "task": _words("water the plants|pay the rent|call mom|feed the cat|clean the car|buy milk|pack the bags|fix the door"),
    "exercise": _words("running|cycling|rowing|yoga|boxing|hiking|skating|climbing"),
    "team": _words("Eagles|Tigers|Sharks|Wolves|Bears|Hawks|Lions|Bulls"),
    "unit": _words("celsius|fahrenheit", closed=True),
    "cabin": _words("economy|business|first", closed=True),
    "size": _words("small|medium|large", closed=True),
    "priority": _words("low|normal|high", closed=True),
    "travel_mode": _words("car|train|bus|foot", closed=True),
    "level": _words("beginner|intermediate|advanced", closed=True),
    "few": Whole(2, 9),
    "days": Whole(2, 30),
    "minutes": Whole(5, 95),
    "percent": Whole(1, 99),
    "hour": Whole(1, 23),
    "shares": Whole(1, 99),
    "questions": Whole(2, 30),
    "price": Whole(10, 99),
    "degrees": Tenths(15, 28),
    "kilometers": Tenths(1, 40),
    "amount": Tenths(1, 90),
    "weight": Tenths(40, 99),
    "breakfast": Flag("with breakfast", "without breakfast"),
    "direct": Flag("flying direct", "with stops allowed"),
    "vegan": Flag("vegan only", "meat allowed"),
    "shuffle": Flag("with shuffle on", "with shuffle off"),
    "gift": Flag("gift wrapped", "not gift wrapped"),
    "formal": Flag("in a formal tone", "in a casual tone"),
    "alarm": Flag("with a sound", "silently"),
    "live": Flag("live", "recorded"),
}
"""Kinds of values by name; every word is one the demo's tokenizer keeps whole."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a capability: the names it goes by, and the kind of its values."""

    aliases: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Capability:
    """What one tool can do: the names it goes by, its arguments, and how people ask for it."""

    domain: str
    names: tuple[str, ...]
    arguments: Mapping[str, Argument]
    requests: tuple[str, ...]
    """Templates: `{slot}` is an argument, `[…]` a part that may be left out together with its arguments."""

    @property
    def optional(self) -> frozenset[str]:
        """Arguments that some request may leave out."""
        return frozenset(slot for slot in self.arguments if any(f"{{{slot}}}" in part for r in self.requests for part in r.split("[")[1:]))
