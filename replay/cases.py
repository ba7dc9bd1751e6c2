"""Case files of order states: what was sent, what came back, and what must then be held.

A file is read as it stands or refused with its line: an expectation that was misspelt would never be checked.
"""

from collections.abc import Hashable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from oms.brokers.fix44 import ExecType, OrdStatus
from oms.errors import InputError
from oms.values import ZERO, OrderStatus

MAX_BYTES: Final = 8_000_000
HINT: Final = "correct the file; every key and its type are listed in replay/cases.py"


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("is not a number")
    if value < ZERO:
        raise ValueError("is negative")
    return Decimal(value)


def _name(value: object) -> str:
    """An id; YAML reads one that is all digits as a number."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError("is not an id")
    return str(value)


def _raised(value: object) -> bool | Decimal:
    """An alert that is expected, with its quantity where that is known."""
    return value if isinstance(value, bool) else _amount(value)


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(_name, value)) if isinstance(value, list) else (_name(value),)


Amount = Annotated[Decimal, PlainValidator(_amount)]
Name = Annotated[str, PlainValidator(_name)]
Names = Annotated[tuple[str, ...], PlainValidator(_names)]
Raised = Annotated[bool | Decimal, PlainValidator(_raised)]


def _one_of(*values: str) -> PlainValidator:
    def check(value: object) -> object:
        if value not in values:
            raise ValueError(f"is not one of {', '.join(values)}")
        return value

    return PlainValidator(check)


State = Annotated[str, _one_of(*(state.value for state in OrderStatus))]
Status = Annotated[str, _one_of(*(status.value for status in OrdStatus))]
Execution = Annotated[str, _one_of(*(kind.value for kind in ExecType))]
Flag = Annotated[str, _one_of("cancel", "replace")]
Sent = Literal["NewOrderSingle", "OrderCancelRequest", "OrderCancelReplaceRequest", "OrderStatusRequest"]
Received = Literal["ExecutionReport", "OrderCancelReject"]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Expect(_Strict):
    """What must hold after a step. What is not named is not checked; only the pending flag is off unless named."""

    fix_status: Status | None = None
    base_state: State | None = None
    cum_qty: Amount | None = None
    pending: Flag | None = None
    accepted: bool = True
    alert: Names = ()
    action: Any = None

    def names(self, field: str) -> bool:
        """Whether the file says anything about a field; nothing is not the same as null."""
        return field in self.model_fields_set


class Step(_Strict):
    """One message, with the names of the specification, or a remark."""

    n: int
    dir: Literal["out", "in", "none"]
    msg: Sent | Received | None = None
    cl_ord_id: Name | None = None
    orig_cl_ord_id: Name | None = None
    order_id: Name | None = None
    secondary_order_id: Name | None = None
    exec_id: Name | None = None
    exec_ref_id: Name | None = None
    exec_type: Execution | None = None
    ord_status: Status | None = None
    symbol: str | None = None
    side: Literal["BUY", "SELL"] | None = None
    ord_type: Literal["MARKET", "LIMIT", "STOP", "STOP_LIMIT"] | None = None
    time_in_force: str | None = None
    order_qty: Amount | None = None
    cash_order_qty: Amount | None = None
    cum_qty: Amount | None = None
    leaves_qty: Amount | None = None
    last_qty: Amount | None = None
    last_px: Amount | None = None
    avg_px: Amount | None = None
    price: Amount | None = None
    stop_px: Amount | None = None
    day_order_qty: Amount | None = None
    day_cum_qty: Amount | None = None
    day_avg_px: Amount | None = None
    cxl_rej_reason: int | None = None
    cxl_rej_response_to: Literal["OrderCancelRequest", "OrderCancelReplaceRequest"] | None = None
    ord_rej_reason: int | None = None
    exec_restatement_reason: Name | None = None
    transact_time: str | None = None
    poss_dup: bool = False
    poss_resend: bool = False
    text: str = ""
    changes: list[str] = Field(default_factory=list)
    crosses_request: bool = False
    gap_detected: Raised = False
    late_fill: Raised = False
    overfill: Raised = False
    alert: Names = ()
    action: Any = None
    source: str | None = None
    note: str | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        sent = ("NewOrderSingle", "OrderCancelRequest", "OrderCancelReplaceRequest", "OrderStatusRequest")
        if self.dir == "none":
            return self
        if (self.msg in sent) != (self.dir == "out") or self.msg is None:
            raise ValueError(f"msg {self.msg} does not go with dir {self.dir}")
        if self.dir == "out" and self.cl_ord_id is None:
            raise ValueError("cl_ord_id is missing")
        if self.msg in ("OrderCancelRequest", "OrderCancelReplaceRequest") and self.orig_cl_ord_id is None:
            raise ValueError("orig_cl_ord_id is missing")
        if self.msg == "NewOrderSingle" and not self.order_qty and not self.cash_order_qty:
            raise ValueError("order_qty is missing")
        if self.dir == "in" and self.ord_status is None:
            raise ValueError("ord_status is missing")
        if self.msg == "ExecutionReport" and self.exec_type is None:
            raise ValueError("exec_type is missing")
        return self


class Case(_Strict):
    """A scenario: its steps in order."""

    id: Name
    title: str = ""
    provenance: str | None = None
    source: str | None = None
    confidence: str | None = None
    note: str | None = None
    steps: list[Step] = Field(min_length=1)


class Cases(_Strict):
    """A case file. Everything beside the cases is for people."""

    schema_version: Literal[1] = 1
    title: str = ""
    conventions: dict[str, Any] = Field(default_factory=dict)
    ord_status_precedence: dict[str, Any] = Field(default_factory=dict)
    illustrated_transitions: dict[str, Any] = Field(default_factory=dict)
    cases: list[Case] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_one_case_of_each_id(self) -> Self:
        ids = [case.id for case in self.cases]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"case {twice[0]} stands there twice")
        return self


def read_cases(path: Path) -> Cases:
    """The cases of a file. Raises InputError with file and line."""
    try:
        raw = path.read_bytes()
        text = raw.decode()
    except OSError as error:
        raise _refused(str(path), (error.strerror or str(error)).lower()) from error
    except UnicodeDecodeError as error:
        raise _refused(str(path), f"not UTF-8 text: byte {error.start}") from error
    if len(raw) > MAX_BYTES:
        raise _refused(str(path), f"longer than {MAX_BYTES} bytes")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        data = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _refused(_place(path, mark.line if mark else 0), error.problem or "not YAML") from error
    except (yaml.YAMLError, ValueError) as error:
        raise _refused(str(path), str(error).splitlines()[0]) from error
    except RecursionError as error:
        raise _refused(str(path), "nested too deeply") from error
    finally:
        loader.dispose()
    try:
        return Cases.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        why = f"{name}: {first['msg'].removeprefix('Value error, ')}".removeprefix(": ")
        raise _refused(_place(path, _line(node, first["loc"])), why) from error


def _refused(where: str, why: str) -> InputError:
    return InputError("OMS-I020", "The case file cannot be read", where=where, why=why, hint=HINT)


def _place(path: Path, line: int) -> str:
    return f"{path} line {line + 1}"


def _line(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line of the innermost part of the file that a location leads to, from 0."""
    line = node.start_mark.line if node is not None else 0
    for part in location:
        found = next((value for key, value in _children(node) if key == part), None)
        if found is None:
            break
        node = found
        line = node.start_mark.line
    return line


def _children(node: yaml.Node | None) -> Iterator[tuple[int | str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((str(key.value), value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)


class _Loader(yaml.SafeLoader):
    """The safe loader without what hides mistakes: aliases, keys given twice, binary fractions, dates."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark: Any = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "an alias is not allowed here", mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _value in node.value:
            if key.value in seen or not isinstance(key, yaml.ScalarNode):
                mark = key.start_mark
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value} stands there twice", mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _exact(_loader: _Loader, node: yaml.ScalarNode) -> Decimal | str:
    text = str(node.value).replace("_", "")
    try:
        value = Decimal(text)
    except ArithmeticError:
        return text
    return value if value.is_finite() else text


def _as_text(_loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:float", _exact)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)
