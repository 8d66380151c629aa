"""Templates of the console: compiled once in a process, rendered with what every page of one console knows."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("prikkfri.web.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Templates:
    """`everywhere`: what all of one console's templates know."""

    def __init__(self, **everywhere: object) -> None:
        self._everywhere = everywhere

    def render(self, name: str, /, **facts: object) -> str:
        return _environment().get_template(name).render(self._everywhere, **facts)
