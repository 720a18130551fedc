"""The hours of the day at which photos are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time


@dataclass(frozen=True, slots=True)
class Hours:
    """From one time of the clock on the wall to another, also past midnight; equal ends are the whole day.

    Only what the clock shows counts, so that an hour that is left out or comes twice needs no rule of its own.
    """

    opens: time
    closes: time
    """The first minute that is not among them."""

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Return the hours of a text like "22:00-06:00"; the empty text is the whole day.

        Raises:
            ValueError: it is something else.
        """
        if not text:
            return cls(time(), time())
        opens, _, closes = text.partition("-")
        return cls(time.fromisoformat(opens.strip()), time.fromisoformat(closes.strip()))

    @property
    def is_whole_day(self) -> bool:
        return self.opens == self.closes

    def is_open(self, local: datetime) -> bool:
        """Whether a moment, by the clock on the wall, is among them."""
        now = local.time()
        if self.opens < self.closes:
            return self.opens <= now < self.closes
        return self.is_whole_day or now >= self.opens or now < self.closes
