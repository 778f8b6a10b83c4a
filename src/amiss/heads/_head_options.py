"""Options of heads: declared once, checked when a head is made, stored with it in detector.json."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ConfigDict, Field, ValidationError, create_model

from amiss.errors import UsageError
from amiss.heads._base import Head
from amiss.settings import Settings, hint, problems_of

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
"""Of a term of a loss."""
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class HeadOptions(Settings):
    """Options of a head. A value must be of the field's own type: no text for a number, 2.5 is no whole number."""

    model_config = ConfigDict(strict=True)


Model = TypeVar("Model", bound=HeadOptions)


class HeadWithOptions(Head):
    """A head that declares its options as a model in `Options`, and has them in `settings`.

    Raises:
        UsageError: an option that it doesn't have or can't take; says which, the value, and what is allowed.
    """

    Options: ClassVar[type[HeadOptions]]
    settings: HeadOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        variant = f", variant {options['variant']!r}" if "variant" in options else ""
        self.settings = check_options(self.Options, options, f"head {self.name!r}{variant}")

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments that rebuild this head."""
        return self.settings.model_dump(mode="json")


def check_options(model: type[Model], options: Mapping[str, Any], what: str) -> Model:
    """Options as a model.

    Raises:
        UsageError: `what` doesn't have such an option, or can't take its value.
    """
    try:
        return model.model_validate(options)
    except ValidationError as error:
        known = list(model.model_fields)
        problems = []
        for problem, found in zip(problems_of(error, model), error.errors(include_url=False), strict=True):
            if problem.kind == "extra_forbidden":
                problems.append(f"there is no option {problem.field!r}{hint(problem.field, known)}")
            elif problem.kind == "missing" or not problem.where:
                problems.append(str(problem))
            else:
                problems.append(f"{problem.field} is {found['input']!r}; it {problem.message}")
        raise UsageError(f"{what}: {'; '.join(problems)}. Its options are {known}") from None


def check_signature(factory: Callable[..., Head], options: Mapping[str, Any], what: str) -> None:
    """Check options by the annotations of a factory that declares no `Options`: numbers, text, `Literal`, or None.

    Raises:
        UsageError: `what` doesn't have such an option, or can't take its value.
    """
    try:
        signature = inspect.signature(factory, eval_str=True)
    except Exception:  # annotations of a third party may be for type checkers alone; they tell nothing then
        signature = inspect.signature(factory)
    fields: dict[str, Any] = {}
    extra: Literal["allow", "forbid"] = "forbid"
    for parameter in list(signature.parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            extra = "allow"
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (parameter.annotation if _is_plain(parameter.annotation) else Any, default)
    base = type("SignatureOptions", (HeadOptions,), {"model_config": ConfigDict(extra=extra)})
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of names that pydantic's models have too
        model: type[HeadOptions] = create_model("Options", __base__=base, **fields)
    check_options(model, options, what)


def _is_plain(annotation: Any) -> bool:
    """Whether values are numbers, text, or None; others are for the head to check."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_plain(arguments[0])
    if origin in (Union, UnionType):
        return all(map(_is_plain, arguments))
    return origin is Literal or annotation in (bool, int, float, str, NoneType)
