"""Keeps the drawing in docs/developer.md true: who may import whom, and how long things may grow."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "edge").rglob("*.py"))
MOST_LINES_OF_FILE = 600
MOST_LINES_OF_FUNCTION = 60

# Module or folder → what it may import of ours. The longest matching name decides; `errors` imports nothing
# and is open to all. Modules of one folder (domain, devices, pages…) may use each other, without a circle.
EVERYTHING = {"*"}
SPINE = {"database", "clock", "bell", "trace"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "values": {"values"},
    "sealing": set(),
    "fields": {"sealing"},
    "settings": {"values", "sealing", "settings_sections"},
    "settings_sections": set(),
    "texts": set(),
    "holder": set(),
    "bell": set(),
    "door": set(),
    "print_sheets": {"values"},
    "trace": set(),
    "own_address": set(),
    "logs": {"trace", "settings", "settings_sections"},
    "telemetry": {"trace", "settings", "settings_sections", "logs"},
    "supervisor": set(),
    "history": {"models"} | SPINE,
    "desk": {"jobs", "models", "values", "trace"} | SPINE,
    "clock": {"values"},
    "sqlite": set(),
    "postgres": set(),
    "database": {"postgres", "sqlite", "sealing"},
    "delivery": {"bell", "postgres"},
    "models": {"values", "database", "fields"},
    "network_models": {"models", "fields"},
    "money_models": {"models", "fields"},
    "sms_models": {"models", "fields"},
    "radius_views": set(),
    "ledger_guards": set(),
    "schema": {"models", "network_models", "money_models", "sms_models", "radius_views", "ledger_guards",
               "database", "sealing"},
    "jobs": {"models", "values"} | SPINE,
    "ledger": {"models", "jobs", "bell", "database", "values"},
    "domain": {"domain", "models", "network_models", "money_models", "sms_models", "radius_views", "jobs", "desk",
               "history", "values", "texts", "holder", "sealing"} | SPINE,
    "tpdu": {"values"},
    "gsm_modem": {"values", "tpdu", "modem_line", "modem_texts", "modem_greeting", "modem_handover", "modem_ports",
                  "modem_resets", "modem_ussd"},
    "modem_line": {"values"},
    "modem_texts": {"values", "tpdu", "modem_line"},
    "modem_greeting": {"values", "modem_line"},
    "modem_handover": {"values", "tpdu", "modem_line"},
    "modem_ports": {"values", "modem_line"},
    "modem_resets": set(),
    "modem_power": set(),
    "modem_ussd": {"values", "modem_line"},
    "handlers.modem_inbox": {"domain", "jobs", "handlers", "gsm_modem", "modem_texts", "tpdu"},
    "devices": {"devices", "values"},
    "devices.opening": {"devices", "gsm_modem", "modem_power", "simulators", "settings", "values"},
    "simulators": {"simulators", "values", "tpdu"},
    "tasks": {
        "domain",
        "jobs",
        "desk",
        "history",
        "logs",
        "telemetry",
        "devices",
        "models",
        "network_models",
        "money_models",
        "sms_models",
        "values",
        "holder",
        "settings",
        "handlers",
    }
    | SPINE,
    "handlers": {
        "own_address",
        "domain",
        "jobs",
        "desk",
        "history",
        "devices",
        "models",
        "network_models",
        "money_models",
        "sms_models",
        "values",
        "settings",
        "handlers",
    },
    "pages": {"pages", "own_address", "domain", "models", "network_models", "money_models", "sms_models", "values",
              "texts", "database"},
    "pages.callbacks": {"pages", "domain", "models", "values", "texts", "database", "devices.mpesa_read"},
    "pages.callbacks_org": {"pages", "domain", "models", "values", "devices.mpesa_read"},
    "pages.paystack": {"pages", "domain", "models", "values", "texts", "database", "devices.paystack"},
    "web": EVERYTHING,
    "worker": EVERYTHING,
    "cli": EVERYTHING,
    "__main__": EVERYTHING,
    "demo": EVERYTHING,
    "boot": EVERYTHING,
}
QUERY_VERBS = {"select", "where", "order_by", "join", "limit", "tuples", "dicts", "distinct", "group_by"}
# Domain is the part one could run on paper.
NOT_IN_DOMAIN = {"bottle", "huey", "serial", "requests", "urllib3", "http", "socket", "waitress"}


def module_name(path: Path) -> str:
    """`edge/pages/api.py` → `pages.api`; the package itself → an empty name."""
    parts = path.relative_to(ROOT / "edge").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


KNOWN = {module_name(path) for path in FILES}


def imports_of(tree: ast.AST, known: set[str]) -> set[str]:
    """Every imported module by its full name; ours without the leading `edge.`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {_ours(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the whole name instead of a relative import"
            origin = node.module or ""
            for alias in node.names:
                inner = _ours(f"{origin}.{alias.name}")
                found.add(inner if inner.removeprefix("edge:") in known else _ours(origin))
    return found


def _ours(name: str) -> str:
    return "edge:" + name.removeprefix("edge").removeprefix(".") if name.split(".")[0] == "edge" else name


def own_imports(path: Path) -> set[str]:
    found = imports_of(ast.parse(path.read_text(encoding="utf-8")), KNOWN)
    return {name.removeprefix("edge:") for name in found if name.startswith("edge:")} - {""}


def is_within(name: str, folder: str) -> bool:
    return name == folder or name.startswith(folder + ".")


def allowed_to(module: str) -> set[str]:
    rules = [name for name in MAY_IMPORT if is_within(module, name)]
    assert rules, f"edge.{module} has no line in MAY_IMPORT: say what it may import"
    return MAY_IMPORT[max(rules, key=len)] | {"errors"}


def forbidden_imports(module: str, imported: set[str]) -> list[str]:
    allowed = allowed_to(module)
    if allowed >= EVERYTHING:
        return []
    return sorted(name for name in imported if not any(is_within(name, folder) for folder in allowed))


def functions_of(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def each_file(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_file = pytest.mark.parametrize("path", FILES, ids=each_file)


def test_there_is_something_to_look_at() -> None:
    assert ROOT / "edge" / "__init__.py" in FILES


@every_file
def test_a_module_imports_only_what_the_table_allows(path: Path) -> None:
    module = module_name(path)
    imported = own_imports(path)
    if module:
        assert forbidden_imports(module, imported) == []
    else:
        assert imported == set()


def test_no_import_goes_in_a_circle() -> None:
    waiting = {module_name(path): own_imports(path) & KNOWN for path in FILES}
    while free := [name for name, needs in waiting.items() if not needs & waiting.keys()]:
        for name in free:
            del waiting[name]
    assert sorted(waiting) == []


@every_file
def test_domain_knows_no_wire(path: Path) -> None:
    if is_within(module_name(path), "domain"):
        imported = imports_of(ast.parse(path.read_text(encoding="utf-8")), KNOWN)
        assert {name.split(".")[0] for name in imported} & NOT_IN_DOMAIN == set()


@every_file
def test_a_file_begins_by_saying_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "__init__.py" and not text.strip():
        return
    assert ast.get_docstring(ast.parse(text)), "its first line should be a docstring"


@every_file
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES_OF_FILE
    functions = functions_of(ast.parse(text))
    sizes = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_FUNCTION} == {}


@every_file
def test_no_loop_writes_beside_an_open_question(path: Path) -> None:
    """A loop over a query keeps its cursor open; whoever writes in it finds the database locked when another wrote."""
    loops = [node.iter for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.For)]
    lazy = [loop.lineno for loop in loops if isinstance(loop, ast.Call) and isinstance(loop.func, ast.Attribute)
            and loop.func.attr in QUERY_VERBS]  # fmt: skip
    assert lazy == [], "wrap the query in list()"


@every_file
def test_no_import_hides_in_a_function(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {node.lineno for function in functions_of(tree) for node in ast.walk(function)
              if isinstance(node, ast.Import | ast.ImportFrom)}  # fmt: skip
    assert sorted(hidden) == []


@pytest.mark.parametrize(
    ("module", "line", "forbidden"),
    [
        ("domain.payments", "from edge import tasks", ["tasks"]),
        ("domain.payments", "from edge.database import transaction", []),
        ("devices.router", "import edge.settings", ["settings"]),
        ("devices.opening", "from edge.settings import Settings", []),
        ("pages.portal", "from edge.devices import mpesa", ["devices.mpesa"]),
        ("pages.callbacks", "from edge.devices import mpesa_read", []),
        ("values.money", "from edge.models import Payment", ["models"]),
    ],
)
def test_the_table_bites(module: str, line: str, forbidden: list[str]) -> None:
    known = {"tasks", "settings", "devices", "devices.mpesa", "devices.mpesa_read", "database", "models"}
    found = {name.removeprefix("edge:") for name in imports_of(ast.parse(line), known)}
    assert forbidden_imports(module, found) == forbidden
