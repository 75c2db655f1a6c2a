"""What a caller may do with a table, and what PostgreSQL can do with it."""

from dataclasses import dataclass

from service.catalog.resource import Resource
from service.core.types import OF_TABLES, Action

_VERBS = {Action.CREATE: "insert", Action.UPDATE: "change", Action.DELETE: "delete"}


@dataclass(frozen=True, slots=True)
class Rights:
    """The actions that are granted, as far as PostgreSQL can do them."""

    resource: Resource
    granted: frozenset[Action] = frozenset(OF_TABLES)

    def may(self, *actions: Action) -> bool:
        """Whether all of these work."""
        return all(action in self.granted and action not in self._impossible() for action in actions)

    def missing(self) -> list[str]:
        """Sentences that say why an operation is not there."""
        impossible = self._impossible()
        verbs = [_VERBS[action] for action in self._unable()]
        refused = [_VERBS.get(action, "read") for action in OF_TABLES if action not in {*self.granted, *impossible}]
        said = []
        if verbs:
            said.append(
                f"PostgreSQL cannot {_listed(verbs)} its rows: it writes to views that show rows of one table "
                "as they are, or that have rules or `INSTEAD OF` triggers."
            )
        if refused:
            said.append(f"Your role may not {_listed(refused)} its rows.")
        if not self._has_writable():
            said.append("It has no column that could be changed.")
        if not self.resource.key:
            said.append("It has no key, so that its rows have no paths of their own.")
        return said

    def _has_writable(self) -> bool:
        return bool(self.resource.writable())

    def _impossible(self) -> list[Action]:
        unable = self._unable()
        return unable if self._has_writable() or Action.UPDATE in unable else [*unable, Action.UPDATE]

    def _unable(self) -> list[Action]:
        """What PostgreSQL has no way to do."""
        abilities = self.resource.abilities
        able = {
            Action.CREATE: abilities.can_insert,
            Action.UPDATE: abilities.can_update,
            Action.DELETE: abilities.can_delete,
        }
        return [action for action, is_able in able.items() if not is_able]


def _listed(verbs: list[str]) -> str:
    return verbs[0] if len(verbs) == 1 else f"{', '.join(verbs[:-1])} or {verbs[-1]}"
