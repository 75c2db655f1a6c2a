"""All fields that cannot be read, at once, where PostgreSQL can tell (16 and newer): else each costs attempts."""

from dataclasses import dataclass

from service.catalog.resource import Column
from service.core.errors import Rejected
from service.imports.stage import Stage
from service.query.compile.values import reader_of
from service.query.plan import InsertPlan, Staged, StagedForm

_SINCE = 16
# The first such field of each row.
_UNREADABLE = """
select array(
    select json_build_array(s.no, f.place, e.message, e.sql_error_code, f.field)::text
    from pg_temp.rowhouse_import s
    cross join lateral (
        select place, field, kind from (values {fields}) v (place, field, kind)
        where field is not null and not pg_input_is_valid(field, kind) order by place limit 1
    ) f
    cross join lateral pg_input_error_info(f.field, f.kind) e
    order by s.no limit $1::bigint
)
"""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Looks at the staged fields of a plan."""

    stage: Stage
    plan: InsertPlan

    async def unreadable(self, most: int) -> list[Rejected]:
        """Rows with fields that cannot be read, at most so many. They are staged no longer.

        Rows whose fields PostgreSQL cannot judge by themselves, such as members of objects, are passed over.
        """
        staged = self.plan.body
        assert isinstance(staged, Staged)
        columns = [self.plan.resource.stored[name] for name in self.plan.columns]
        judged = [column for column in columns if _is_judged(column, staged)]
        if staged.form is StagedForm.OBJECTS or not judged or self.stage.version < _SINCE:
            return []
        places = {column.name: staged.names.index(column.name) for column in judged}
        fields = ", ".join(
            f"({place}, {_field(place, staged)}, ${number}::text)"
            for number, place in enumerate(places.values(), start=2)
        )
        kinds = [column.sql_type for column in judged]
        found = await self.stage.listed(_UNREADABLE.format(fields=fields), [most, *kinds])
        await self.stage.drop([number for number, *_ in found])
        return [
            Rejected(await self.stage.told_number(number), staged.names[place], reason, code, value)
            for number, place, reason, code, value in found
        ]


def _is_judged(column: Column, staged: Staged) -> bool:
    is_text = column.sql_type == "text"
    return column.name in staged.names and column.name not in staged.nested and not reader_of(column) and not is_text


def _field(place: int, staged: Staged) -> str:
    return f"nullif(s.c{place}, '')" if staged.empty_is_null else f"s.c{place}"
