"""What every part of the descriptor shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="A name of your choice.")]
Template = Annotated[
    str, Field(description="Text with placeholders: {key}, {value}, a field, {component.attribute}, {key|sha256:12}.")
]
Callable = Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$", description="module:function, beside the descriptor.")]
Json = Any


def _compiles(expression: str) -> str:
    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        why = " ".join(str(error).split())
        raise PydanticCustomError("jmespath", "should be a JMESPath expression: {why}", {"why": why}) from None
    return expression


Expression = Annotated[str, AfterValidator(_compiles), Field(description="A JMESPath expression.")]


class _OneOrMore:
    """Lets one entry of a list stand without its brackets."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several, several["items"]]}

    @staticmethod
    def _listed(value: Any) -> Any:
        return [value] if isinstance(value, Mapping | str | int) else value


_T = TypeVar("_T")
ListOf = Annotated[list[_T], _OneOrMore()]
"""A list; one entry alone may be written without its brackets."""


class Part(BaseModel):
    """A frozen part of the descriptor that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
