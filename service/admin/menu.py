"""The menu: sections of entries, for one operator."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the menu."""

    label: str
    path: str
    is_here: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Entries under one heading; many of them can be searched."""

    title: str
    entries: list[Entry] = field(default_factory=list)
