"""What the management API takes and shows of contact tables."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from loadingdock.core.contactchanges import Change, ColumnChange
from loadingdock.core.contacts import shown
from loadingdock.core.contactspecs import of_type
from loadingdock.core.contactvalues import plain
from loadingdock.core.model.contacts import MOST_COLUMNS, MOST_KEY, Column, Contact, ContactTable
from loadingdock.dialects.management.wire import Asked, Shown, Time

Name = Annotated[str, Field(min_length=1, max_length=63, description="1 to 63 bytes of UTF-8.", examples=["EMAIL"])]
Type = Annotated[
    str,
    Field(
        max_length=40,
        description="`text`, `text(N)`, `integer`, `decimal(DIGITS,PLACES)`, `boolean`, `date`, `datetime`, `email` or"
        " `phone`.",
        examples=["email"],
    ),
]
Formats = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=80)], ...],
    Field(
        max_length=20,
        description="How files write a date or datetime (`DD/MM/YYYY`), the first that fits; `yes/no` pairs of a"
        " boolean.",
        examples=[[]],
    ),
]
Region = Annotated[
    str | None,
    Field(pattern="^[A-Za-z]{2}$", description="Where phone numbers without a country are dialled.", examples=[None]),
]
Comma = Annotated[bool, Field(description="Files write decimals with a comma.")]
Zone = Annotated[
    str | None, Field(max_length=80, description="Of datetimes that name no offset; UTC if null.", examples=[None])
]
_CLEARED = "An empty text takes it away."


class NewColumn(Asked):
    name: Name
    type: Type = "text"
    required: bool = False
    unique: bool = False
    formats: Formats = ()
    region: Region = None
    comma: Comma = False
    zone: Zone = None

    def column(self) -> Column:
        kind = of_type(self.type, self.name)
        return Column(
            self.name,
            kind.kind,
            max=kind.max,
            precision=kind.precision,
            scale=kind.scale,
            required=self.required,
            unique=self.unique,
            formats=self.formats,
            region=self.region,
            comma=self.comma,
            zone=self.zone,
        )


class NewTable(Asked):
    code: Annotated[Name, Field(description="What loaders name it by; no `/` in it.", examples=["customers"])]
    name: Annotated[str, Field(max_length=255, description="For people; the code if empty.")] = ""
    columns: Annotated[list[NewColumn], Field(min_length=1, max_length=MOST_COLUMNS)]
    key: Annotated[
        tuple[Name, ...],
        Field(
            max_length=MOST_KEY, description="The columns that identify a contact; none: nothing does.", examples=[[]]
        ),
    ] = ()
    region: Region = None
    ignore_empty: Annotated[bool, Field(description="An empty value in a file leaves what is there.")] = False


class ColumnChanges(Asked):
    """What is null stays as it is."""

    name: Annotated[Name | None, Field(description="The new name.")] = None
    type: Annotated[Type | None, Field(description="Wider, or narrower if no contact contradicts it.")] = None
    required: bool | None = None
    unique: bool | None = None
    formats: Formats | None = None
    region: Annotated[str | None, Field(pattern="^([A-Za-z]{2})?$", description=_CLEARED)] = None
    comma: bool | None = None
    zone: Annotated[str | None, Field(max_length=80, description=_CLEARED)] = None
    retired: Annotated[
        bool | None, Field(description="True: hidden everywhere, its values kept. False: brought back.")
    ] = None

    def change(self) -> ColumnChange:
        return ColumnChange(
            name=self.name,
            type=None if self.type is None else of_type(self.type),
            required=self.required,
            unique=self.unique,
            formats=self.formats,
            region=self.region,
            comma=self.comma,
            zone=self.zone,
            retired=self.retired,
        )


class TableChanges(Asked):
    """All of it at once, or nothing. What is null stays as it is."""

    name: Annotated[str | None, Field(max_length=255)] = None
    key: Annotated[list[Name] | None, Field(max_length=MOST_KEY, description="None in it: nothing identifies.")] = None
    region: Annotated[str | None, Field(pattern="^([A-Za-z]{2})?$", description=_CLEARED)] = None
    ignore_empty: bool | None = None
    add: Annotated[
        tuple[NewColumn, ...], Field(max_length=MOST_COLUMNS, description="New columns, behind all others.")
    ] = ()
    columns: Annotated[
        dict[str, ColumnChanges],
        Field(
            default_factory=dict,
            description="By the columns' present names.",
            examples=[{"NAME": {"name": "LASTNAME", "required": True}}],
        ),
    ]

    def change(self) -> Change:
        return Change(
            name=self.name,
            region=self.region,
            ignore_empty=self.ignore_empty,
            key=None if self.key is None else tuple(self.key),
            added=tuple(column.column() for column in self.add),
            columns={name: one.change() for name, one in self.columns.items()},
        )


class ColumnShape(Shown):
    name: Name
    type: Type
    required: bool
    unique: bool
    formats: Formats
    region: Region
    comma: Comma
    zone: Zone


class TableShape(Shown):
    number: Annotated[int, Field(description="Counts up per installation; callbacks call it idWebDb.", examples=[987])]
    code: Annotated[str, Field(examples=["customers"])]
    name: str
    columns: list[ColumnShape]
    key: Annotated[list[str], Field(examples=[["EMAIL"]])]
    region: Region
    ignore_empty: bool
    retired: Annotated[list[str], Field(description="Columns that are hidden and can be brought back.", examples=[[]])]
    created_at: Time
    changed_at: Time

    @classmethod
    def of(cls, table: ContactTable) -> TableShape:
        return cls.model_validate(shown(table))


class CountedTable(TableShape):
    rows: Annotated[int, Field(ge=0, description="Contacts in it.")]

    @classmethod
    def counted(cls, table: ContactTable, rows: int) -> CountedTable:
        return cls.model_validate({**shown(table), "rows": rows})


class ContactShape(Shown):
    row: Annotated[int, Field(description="The number of the row: given once.", examples=[1])]
    values: Annotated[
        dict[str, str | int | bool | None],
        Field(
            description="By the columns' names. Decimals, dates and datetimes are texts in one spelling each.",
            examples=[
                {"EMAIL": "anna@example.com", "AGE": 30, "BALANCE": "12.50", "MEMBER": True, "BORN": "1996-02-29"}
            ],
        ),
    ]

    @classmethod
    def of(cls, table: ContactTable, contact: Contact) -> ContactShape:
        names = (column.name for column in table.visible)
        values: dict[str, Any] = dict(zip(names, map(plain, contact.values), strict=True))
        return cls(row=contact.row, values=values)


class ContactPage(Shown):
    items: list[ContactShape]
    next_cursor: Annotated[
        str | None, Field(description="Send it as `cursor` for what follows; null at the end.", examples=[None])
    ]
    total: Annotated[int | None, Field(description="All that were asked for, if `count` was true.", examples=[None])]
