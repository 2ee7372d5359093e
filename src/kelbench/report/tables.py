"""Tables before they are HTML, Markdown or LaTeX."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what stands there.
        sort: what the column sorts by; the text where None.
        notes: smaller lines below the text.
        strong: whether it is the best of its column.
        verdict: the verdict that the text is, for its sign and colour.
        link: an https address that the text leads to.
    """

    text: str
    sort: float | str | None = None
    notes: tuple[str, ...] = ()
    strong: bool = False
    verdict: str | None = None
    link: str | None = None


@dataclass(frozen=True)
class Column:
    """A column: its heading, whether it holds numbers, and which way is better (`up`, `down` or neither)."""

    label: str
    numeric: bool = False
    better: str | None = None


@dataclass(frozen=True)
class Group:
    """Rows that belong together; a label sets them off (controls). The first cell of a row is its heading."""

    rows: list[list[Cell]]
    label: str | None = None


@dataclass(frozen=True)
class Table:
    """A table with a caption; `identifier` is unique on the page."""

    identifier: str
    caption: str
    columns: list[Column]
    groups: list[Group] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of rows."""
        return sum(len(group.rows) for group in self.groups)
