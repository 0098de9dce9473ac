"""A limit of a chip that a network breaks: which, where, by how much."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One broken limit; ``str()`` gives the sentence for people.

    Attributes
    ----------
    limit : str
        As the chip file's table ``limits`` calls it, or ``cores``.
    where : str
        Population, projection or core.
    need, have : int
        What is needed there and what the chip has.
    text : str
        What, where, the numbers, and what to do.
    """

    limit: str
    where: str
    need: int
    have: int
    text: str

    def __str__(self) -> str:
        return self.text
