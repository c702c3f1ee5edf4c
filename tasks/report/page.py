"""The page itself: templates, embedded scripts, and a policy that lets nothing in or out."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tasks.bundle import words_of_estimate

SCRIPTS = (
    "vendored/dataTables.min.js",
    "vendored/chart.min.js",
    "vendored/chart-zoom.min.js",
    "report/report.js",
)
SOURCE_MAP = "//# sourceMappingURL="


def render(**values: Any) -> str:
    """The page as HTML. Everything in `values` is text, never markup; a value that the templates miss is an error."""
    scripts = [_script(name) for name in SCRIPTS]
    return (
        environment()
        .get_template("report.html.j2")
        .render(values, scripts=[Markup(script) for script in scripts], policy=policy(scripts))
    )


def environment() -> Environment:
    """Where pages are rendered: values are text, never markup, and one that a template misses is an error."""
    made = Environment(
        loader=PackageLoader("tasks"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["estimate"] = words_of_estimate
    made.filters["data_block"] = data_block
    return made


def data_block(value: Any) -> Markup:
    """JSON for inside of a `script` element: no name of a file can end that element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _script(name: str) -> str:
    """A script of this package, without the address of its source map, which a browser's tools would ask for."""
    text = resources.files("tasks").joinpath("templates", name).read_text("utf-8")
    return "\n".join(line for line in text.split("\n") if not line.startswith(SOURCE_MAP))


def policy(scripts: Sequence[str] = ()) -> str:
    """The content security policy: pictures and styles within the page, these very scripts, and nothing else from anywhere."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
