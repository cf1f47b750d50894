"""The web application: one table says which address leads where, and who may call it. What is not there is denied."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bottle import Bottle, HTTPError, HTTPResponse, request, response
from waitress.server import create_server

from edge import telemetry, trace
from edge.domain import payments, people, routing
from edge.door import PREPARED, Dispatcher, Prepared, accept_in_crowds
from edge.errors import BadInput, NotDurable, TooMany
from edge.models import StaffSession
from edge.own_address import reachable_at
from edge.pages import (
    api,
    board,
    books,
    by_hand,
    callbacks,
    callbacks_org,
    campaign_api,
    campaigns,
    counter,
    credits,
    dashboard,
    held,
    machines,
    network,
    notices,
    paystack,
    plans,
    portal,
    portal_status,
    router_wizard,
    shifts,
    sms,
    sms_callbacks,
    sms_inbox,
    sms_lists,
    sms_modem,
    sms_templates,
    staff_api,
    trial_portal,
    voucher_portal,
    vouchers,
    webhooks,
)
from edge.pages import guest_doctor as doctor
from edge.pages.rendering import environment, render
from edge.settings import Settings
from edge.texts import say
from edge.values import networks

log = logging.getLogger("edge.web")

GUEST, BUYER, MPESA, MACHINE = "guest", "buyer", "mpesa", "machine"
OWNER = frozenset({"owner"})
TECH = frozenset({"owner", "technician"})
STAFF = frozenset({"owner", "technician", "cashier"})


@dataclass(frozen=True)
class Route:
    """One address: how it is called, what answers, and who may call. `who` is a word or a set of staff roles."""

    method: str
    path: str
    handler: Callable[..., Any]
    who: str | frozenset[str]
    # The same page from the query alone, asked at the door, before Bottle and without a thread: when 200 phones come
    # at once, each tenth of a millisecond counts 200 times. None: this time the handler has to look.
    quick: Callable[[str], str | None] | None = None
    # The same answer, begun at the door: handed to the writer, and given when it is durable. No thread waits for it.
    begin: Callable[..., None] | None = None


KINDS = {".css": "text/css; charset=UTF-8", ".js": "text/javascript; charset=UTF-8"}
STATIC = {path.name: path.read_bytes() for path in (Path(__file__).parent / "static").iterdir() if path.suffix in KINDS}


def static(name: str) -> HTTPResponse:
    """Style and script, from memory; their address changes with each release, so they may be kept long."""
    if name not in STATIC:
        return api.problem(404, "There is nothing here.")
    kind = KINDS[name[name.rindex(".") :]]
    return HTTPResponse(STATIC[name], 200, {"Content-Type": kind, "Cache-Control": "max-age=604800, immutable"})


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", portal.plans_page, GUEST, quick=portal.quick_page),
    Route("GET", "/p/<token>", portal_status.payment_page, BUYER),
    Route("POST", "/p/<token>", portal_status.payment_post, BUYER),
    Route("POST", "/code", portal.code_post, GUEST),
    Route("GET", "/paid", by_hand.paid_page, GUEST),
    Route("POST", "/paid", by_hand.paid_post, GUEST),
    Route("GET", "/v/<code>", voucher_portal.voucher_page, GUEST),
    Route("POST", "/v/<code>", voucher_portal.voucher_post, GUEST),
    Route("GET", "/g/<key>", portal_status.grant_page, BUYER),
    Route("POST", "/g/<key>", portal_status.grant_post, BUYER),
    Route("GET", "/trial", trial_portal.trial_page, GUEST),
    Route("POST", "/trial", trial_portal.trial_post, GUEST),
    Route("POST", "/connect", portal.connect_post, GUEST),
    Route("GET", "/connect/<name>", portal.connect_page, GUEST),
    Route("GET", "/static/<name>", static, GUEST),
    Route("GET", "/api/packages", api.packages, GUEST),
    Route("POST", "/api/payments/initiate", api.initiate, GUEST),
    Route("GET", "/api/payments/<payment_id>", api.payment, BUYER),
    Route("POST", "/cb/<secret>", callbacks.stk_result, MPESA, begin=callbacks.begin_stk_result),
    Route("POST", "/cb/<secret>/c2b/validation", callbacks.c2b_validation, MPESA),
    Route("POST", "/cb/<secret>/c2b/confirmation", callbacks.c2b_confirmation, MPESA),
    Route("POST", "/cb/<secret>/result", callbacks_org.result, MPESA),
    Route("POST", "/cb/<secret>/timeout", callbacks_org.timeout, MPESA),
    Route("POST", "/api/mpesa/callback", callbacks.stk_hint, MPESA),
    Route("POST", "/hooks/paystack", paystack.hook, MACHINE),
    Route("POST", "/hooks/sms/africastalking/<token>", sms_callbacks.africastalking, MACHINE),
    Route("POST", "/hooks/sms/twilio", sms_callbacks.twilio, MACHINE),
    Route("POST", "/hooks/sms/http/<token>", sms_callbacks.http, MACHINE),
    Route("GET", "/hooks/sms/http/<token>", sms_callbacks.http, MACHINE),
    Route("GET", "/.well-known/captive-portal", machines.captive_portal, GUEST),
    Route("GET", "/health", machines.health, MACHINE),
    Route("GET", "/ready", machines.ready, MACHINE),
    Route("GET", "/metrics", machines.figures, MACHINE),
    Route("GET", "/admin/sign-in", dashboard.sign_in_page, GUEST),
    Route("POST", "/admin/sign-in", dashboard.sign_in_post, GUEST),
    Route("POST", "/admin/sign-out", dashboard.sign_out_post, STAFF),
    Route("GET", "/admin", dashboard.to_today, STAFF),
    Route("GET", "/admin/", dashboard.today_page, STAFF),
    Route("GET", "/admin/live", dashboard.live_fragment, TECH),
    Route("GET", "/admin/payments", dashboard.payments_page, TECH),
    Route("GET", "/admin/payments/<payment_id:int>", dashboard.payment_page, TECH),
    Route("POST", "/admin/payments/<payment_id:int>/recheck", dashboard.recheck_post, TECH),
    Route("GET", "/admin/money", held.held_page, OWNER),
    Route("POST", "/admin/money/<receipt_id:int>/give", held.give_post, OWNER),
    Route("POST", "/admin/money/<receipt_id:int>/back", held.back_post, OWNER),
    Route("GET", "/admin/doctor", doctor.doctor_page, TECH),
    Route("POST", "/admin/doctor/cure", doctor.cure_post, TECH),
    Route("POST", "/admin/doctor/check", doctor.check_post, TECH),
    Route("GET", "/admin/queues", board.board_page, TECH),
    Route("GET", "/admin/queues/live", board.board_live, TECH),
    Route("GET", "/admin/queues/<name>", board.queue_page, TECH),
    Route("POST", "/admin/queues/<name>/retry", board.retry_queue, TECH),
    Route("POST", "/admin/queues/<name>/clear", board.clear_queue, TECH),
    Route("POST", "/admin/queues/<name>/pause", board.pause_queue, TECH),
    Route("POST", "/admin/queues/<name>/resume", board.resume_queue, TECH),
    Route("POST", "/admin/workers/restart", board.restart_workers, TECH),
    Route("GET", "/admin/jobs", board.old_address, TECH),
    Route("POST", "/admin/jobs/retry", board.retry_all, TECH),
    Route("GET", "/admin/jobs/<job_id:int>", board.job_page, TECH),
    Route("POST", "/admin/jobs/<job_id:int>/retry", board.retry_job, TECH),
    Route("POST", "/admin/jobs/<job_id:int>/cancel", board.cancel_job, TECH),
    Route("POST", "/admin/jobs/<job_id:int>/now", board.hasten_job, TECH),
    Route("POST", "/admin/jobs/<job_id:int>/move", board.move_job, TECH),
    Route("GET", "/admin/network", network.network_page, TECH),
    Route("GET", "/admin/network/live", network.network_live, TECH),
    Route("GET", "/setup/pages/<name>", router_wizard.router_page, GUEST),
    Route("GET", "/setup/<name>", router_wizard.router_script, GUEST),
    Route("GET", "/admin/routers/new", router_wizard.new_page, TECH),
    Route("POST", "/admin/routers/new", router_wizard.new_post, TECH),
    Route("GET", "/admin/routers/<router_id:int>/setup", router_wizard.setup_page, TECH),
    Route("POST", "/admin/routers/<router_id:int>/look", router_wizard.look_post, TECH),
    Route("POST", "/admin/routers/<router_id:int>/setup", router_wizard.setup_post, TECH),
    Route("POST", "/admin/routers/<router_id:int>/login", router_wizard.login_post, TECH),
    Route("POST", "/admin/routers/<router_id:int>/undo", router_wizard.undo_post, TECH),
    Route("POST", "/admin/routers/<router_id:int>/script", router_wizard.script_post, TECH),
    Route("GET", "/admin/routers/<router_id:int>", network.router_page, TECH),
    Route("GET", "/admin/guests/<grant_id:int>", network.guest_page, TECH),
    Route("POST", "/admin/sessions/<session_id:int>/kick", network.kick_post, TECH),
    Route("POST", "/admin/strangers/<stranger_id:int>/remove", network.remove_stranger_post, OWNER),
    Route("POST", "/admin/strangers/<stranger_id:int>/leave", network.leave_stranger_post, OWNER),
    Route("GET", "/admin/vouchers", vouchers.vouchers_page, STAFF),
    Route("POST", "/admin/vouchers", vouchers.make_post, OWNER),
    Route("GET", "/admin/vouchers/<voucher_id:int>", vouchers.voucher_page, STAFF),
    Route("GET", "/admin/vouchers/<voucher_id:int>/print", vouchers.print_one, OWNER),
    Route("POST", "/admin/vouchers/<voucher_id:int>/void", vouchers.void_post, OWNER),
    Route("POST", "/admin/vouchers/<voucher_id:int>/reissue", vouchers.reissue_post, OWNER),
    Route("GET", "/admin/vouchers/batches/<batch_id:int>", vouchers.batch_page, OWNER),
    Route("GET", "/admin/vouchers/batches/<batch_id:int>/print", vouchers.print_batch, OWNER),
    Route("GET", "/admin/vouchers/batches/<batch_id:int>/csv", vouchers.csv_of_batch, OWNER),
    Route("POST", "/admin/vouchers/batches/<batch_id:int>/paid", vouchers.paid_post, OWNER),
    Route("POST", "/admin/vouchers/batches/<batch_id:int>/void", vouchers.void_batch_post, OWNER),
    Route("GET", "/admin/books", books.report_page, OWNER),
    Route("GET", "/admin/books/slip", books.slip_page, TECH),
    Route("GET", "/admin/books/csv", books.csv_download, OWNER),
    Route("GET", "/admin/books/statements", books.statements_page, OWNER),
    Route("POST", "/admin/books/statements", books.upload_post, OWNER),
    Route("GET", "/admin/books/statements/<statement_id:int>", books.statement_page, OWNER),
    Route("POST", "/admin/books/lines/<line_id:int>/follow", books.follow_post, OWNER),
    Route("GET", "/admin/payments/<payment_id:int>/refund", books.refund_page, OWNER),
    Route("POST", "/admin/payments/<payment_id:int>/refund", books.refund_post, OWNER),
    Route("POST", "/admin/refunds/<refund_id:int>/settle", books.settle_refund_post, OWNER),
    Route("GET", "/admin/webhooks", webhooks.list_page, TECH),
    Route("GET", "/admin/webhooks/<inbox_id:int>", webhooks.call_page, TECH),
    Route("POST", "/admin/webhooks/<inbox_id:int>/replay", webhooks.replay_post, OWNER),
    Route("GET", "/admin/counter", counter.counter_page, STAFF),
    Route("GET", "/admin/counter/plans/<plan_id:int>", counter.plan_page, STAFF),
    Route("POST", "/admin/counter/plans/<plan_id:int>", counter.sell_post, STAFF),
    Route("GET", "/admin/counter/sales/<payment_id:int>", counter.sale_page, STAFF),
    Route("POST", "/admin/counter/sales/<payment_id:int>/again", counter.again_post, STAFF),
    Route("GET", "/admin/counter/vouchers/<voucher_id:int>", counter.voucher_page, STAFF),
    Route("GET", "/admin/counter/find", counter.find_page, STAFF),
    Route("POST", "/admin/counter/grants/<grant_id:int>/again", counter.find_again_post, STAFF),
    Route("GET", "/admin/shift", shifts.shift_page, STAFF),
    Route("POST", "/admin/shift/open", shifts.open_post, STAFF),
    Route("GET", "/admin/shifts", shifts.all_page, OWNER),
    Route("GET", "/admin/shifts/<shift_id:int>", shifts.slip_page, STAFF),
    Route("POST", "/admin/shifts/<shift_id:int>/expense", shifts.expense_post, STAFF),
    Route("POST", "/admin/shifts/<shift_id:int>/move", shifts.move_post, STAFF),
    Route("POST", "/admin/shifts/<shift_id:int>/close", shifts.close_post, STAFF),
    Route("GET", "/admin/plans", plans.list_page, TECH),
    Route("GET", "/admin/plans/new", plans.new_page, OWNER),
    Route("POST", "/admin/plans/new", plans.new_post, OWNER),
    Route("GET", "/admin/plans/<plan_id:int>", plans.plan_page, TECH),
    Route("POST", "/admin/plans/<plan_id:int>", plans.plan_post, OWNER),
    Route("POST", "/admin/plans/<plan_id:int>/sale", plans.sale_post, OWNER),
    Route("POST", "/admin/plans/<plan_id:int>/move", plans.move_post, OWNER),
    Route("GET", "/admin/sms", sms.outbox_page, TECH),
    Route("GET", "/admin/sms/<message_id:int>", sms.message_page, TECH),
    Route("GET", "/admin/sms/write", sms.write_page, TECH),
    Route("POST", "/admin/sms/write", sms.write_post, TECH),
    Route("GET", "/admin/sms/people/<message_id:int>", sms.person_page, TECH),
    Route("POST", "/admin/sms/people/<message_id:int>", sms.wish_post, TECH),
    Route("GET", "/admin/sms/contacts/<contact_id:int>", sms.contact_page, TECH),
    Route("GET", "/admin/sms/inbox", sms_inbox.inbox_page, TECH),
    Route("POST", "/admin/sms/inbox/read", sms_inbox.read_all_post, TECH),
    Route("GET", "/admin/sms/inbox/<text_id:int>", sms_inbox.text_page, TECH),
    Route("POST", "/admin/sms/inbox/<text_id:int>/reply", sms_inbox.reply_post, TECH),
    Route("POST", "/admin/sms/inbox/<text_id:int>/read", sms_inbox.read_post, TECH),
    Route("POST", "/admin/sms/inbox/<text_id:int>/wish", sms_inbox.wish_post, TECH),
    Route("GET", "/admin/sms/modem", sms_modem.modem_page, TECH),
    Route("POST", "/admin/sms/modem/airtime", sms_modem.airtime_post, TECH),
    Route("GET", "/admin/sms/credits", credits.credits_page, TECH),
    Route("POST", "/admin/sms/credits/top-up", credits.top_up_post, OWNER),
    Route("POST", "/admin/sms/credits/correct", credits.correct_post, OWNER),
    Route("GET", "/admin/sms/templates", sms_templates.list_page, TECH),
    Route("GET", "/admin/sms/templates/new", sms_templates.new_page, OWNER),
    Route("POST", "/admin/sms/templates/new", sms_templates.new_post, OWNER),
    Route("GET", "/admin/sms/templates/<name>", sms_templates.template_page, TECH),
    Route("POST", "/admin/sms/templates/<name>", sms_templates.template_post, OWNER),
    Route("POST", "/admin/sms/templates/<name>/reset", sms_templates.reset_post, OWNER),
    Route("GET", "/admin/notices", notices.list_page, STAFF),
    Route("POST", "/admin/notices/read", notices.read_all_post, STAFF),
    Route("POST", "/admin/notices/<notification_id:int>/read", notices.read_post, STAFF),
    Route("GET", "/admin/account", notices.account_page, STAFF),
    Route("POST", "/admin/account", notices.account_post, STAFF),
    Route("POST", "/admin/account/test", notices.test_post, STAFF),
    Route("GET", "/admin/sms/campaigns", campaigns.campaigns_page, TECH),
    Route("GET", "/admin/sms/campaigns/new", campaigns.new_page, OWNER),
    Route("POST", "/admin/sms/campaigns/new", campaigns.new_post, OWNER),
    Route("POST", "/admin/sms/campaigns/count", campaigns.count_post, OWNER),
    Route("GET", "/admin/sms/campaigns/<campaign_id:int>", campaigns.campaign_page, TECH),
    Route("GET", "/admin/sms/campaigns/<campaign_id:int>/edit", campaigns.edit_page, OWNER),
    Route("POST", "/admin/sms/campaigns/<campaign_id:int>/edit", campaigns.edit_post, OWNER),
    Route("POST", "/admin/sms/campaigns/<campaign_id:int>/send", campaigns.submit_post, OWNER),
    Route("POST", "/admin/sms/campaigns/<campaign_id:int>/pause", campaigns.pause_post, OWNER),
    Route("POST", "/admin/sms/campaigns/<campaign_id:int>/resume", campaigns.resume_post, OWNER),
    Route("POST", "/admin/sms/campaigns/<campaign_id:int>/cancel", campaigns.cancel_post, OWNER),
    Route("POST", "/admin/sms/campaigns/<campaign_id:int>/retry", campaigns.retry_post, OWNER),
    Route("POST", "/admin/sms/campaigns/<campaign_id:int>/delete", campaigns.delete_post, OWNER),
    Route("GET", "/admin/sms/lists", sms_lists.lists_page, OWNER),
    Route("POST", "/admin/sms/lists", sms_lists.upload_post, OWNER),
    Route("POST", "/admin/sms/lists/<list_id:int>/agreed", sms_lists.agreed_post, OWNER),
    Route("POST", "/admin/sms/lists/<list_id:int>/delete", sms_lists.delete_post, OWNER),
    Route("POST", "/sms/send", campaign_api.send, OWNER),
    Route("GET", "/sms/campaigns/<campaign_id:int>/status", campaign_api.status, TECH),
    Route("GET", "/sms/queue/status", staff_api.sms_queue_status, TECH),
    Route("GET", "/api/admin/queue-status", staff_api.queue_status, TECH),
    Route("GET", "/api/admin/events", staff_api.events, TECH),
)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    # form-action stays open to http(s): the guest's Connect button posts to his router's own login page.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http: https:",
}
STAFF_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": HEADERS["Content-Security-Policy"].removesuffix(" http: https:"),
}
_PLAIN = list(HEADERS.items())
_FOR_GUESTS = [*HEADERS.items(), ("Cache-Control", "no-store")]
_FOR_STAFF = [*STAFF_HEADERS.items(), ("Cache-Control", "no-store")]


class Sealed:
    """The application with the headers that every answer carries, also those of Bottle itself and of faults."""

    def __init__(self, app: Bottle, routes: tuple[Route, ...]) -> None:
        self.app = app
        self.settings: Settings = app.config["edge.settings"]
        self._quick = {route.path: route.quick for route in routes if route.quick is not None and route.who == GUEST}
        begun = [route for route in routes if route.begin is not None and route.who == MPESA]
        self._begun = {route.path.partition("<")[0]: route.begin for route in begun if route.begin is not None}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        prepared = environ.get(PREPARED)
        if prepared is not None:
            status, told, body = prepared
            start_response(status, told)
            return [body]
        _mend_headers(environ)
        added = _headers(environ.get("PATH_INFO", ""))

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            told = {name.title() for name, _ in headers}
            return start_response(status, headers + [pair for pair in added if pair[0] not in told], exc_info)

        return self.app(environ, start)

    def needs_no_thread(self, method: str, path: str) -> bool:
        """Ready in memory, or only waiting for the writer."""
        if method == "GET":
            return path in self._quick
        return method == "POST" and self._begin_at(path) is not None

    def begin(self, environ: dict[str, Any], done: Callable[[Prepared | None], None]) -> None:
        """Answer at the door what `needs_no_thread`."""
        path = environ["PATH_INFO"]
        try:
            if environ["REQUEST_METHOD"] == "GET":
                page = self._quick[path](environ.get("QUERY_STRING", ""))
                done(None if page is None else _prepared(200, "text/html; charset=UTF-8", page.encode()))
                return
            found = self._begin_at(path)
            if found is None:
                done(None)
                return

            def answer(told: tuple[int, bytes] | None) -> None:
                done(None if told is None else _prepared(told[0], "application/json", told[1]))

            begin, last = found
            with trace.within(trace.new()):
                begin(last, environ, self.settings, _client(environ, self.settings), datetime.now(UTC), answer)
        except Exception:  # whatever it is, the route's own handler meets it again and tells it as all faults are told
            done(None)

    def _begin_at(self, path: str) -> tuple[Callable[..., None], str] | None:
        place = path.rfind("/") + 1
        begin = self._begun.get(path[:place])
        return (begin, path[place:]) if begin is not None and place < len(path) else None


def _prepared(status: int, kind: str, body: bytes) -> Prepared:
    told = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    return f"{status} {HTTPStatus(status).phrase}", told + _FOR_GUESTS, body


def build(settings: Settings, routes: tuple[Route, ...] = ROUTES) -> Sealed:
    """The application for these settings. A route that names nobody cannot start."""
    app = Bottle()
    app.config["edge.settings"] = settings
    environment.globals["takes_by_hand"] = by_hand.is_offered(settings)
    environment.globals["texts_leave"] = routing.is_set_up()
    environment.globals["takes_paystack"] = bool(settings.paystack.secret_key and settings.paystack.email)
    for route in routes:
        if not route.who:
            raise ValueError(f"{route.method} {route.path}: say who may call it")
        app.route(route.path, route.method, _guarded(route))
    app.default_error_handler = _fault
    return Sealed(app, routes)


def _guarded(route: Route) -> Callable[..., Any]:
    def call(**parts: Any) -> Any:
        settings: Settings = request.app.config["edge.settings"]
        request.environ["edge.now"] = datetime.now(UTC)
        request.environ["edge.client"] = _client(request.environ, settings)
        try:
            with trace.within(_trace(settings)), telemetry.span(f"{route.method} {route.path}"):
                refusal = _refusal(route, settings)
                return route.handler(**parts) if refusal is None else refusal
        except BadInput as reason:
            return _told(reason, route)
        except NotDurable:
            log.exception("nothing could be kept")
            return _no(route, 503, "The box can't keep anything just now.", {"Retry-After": "5"})

    return call


def _trace(settings: Settings) -> str:
    """Our own proxy may name the trace; a stranger may not write into our books which of them belong together."""
    is_ours = networks.contains(settings.web.trusted_proxies, request.environ.get("REMOTE_ADDR", ""))
    return trace.from_traceparent(request.get_header("traceparent", "")) if is_ours else trace.new()


def _mend_headers(environ: dict[str, Any]) -> None:
    """Bottle breaks over a header that is not UTF-8; one broken byte from a stranger must not cost a callback."""
    for name, value in environ.items():
        if name.startswith("HTTP_") and not value.isascii():
            environ[name] = value.encode("latin-1").decode("utf-8", "replace").encode().decode("latin-1")


def _client(environ: dict[str, Any], settings: Settings) -> str:
    peer: str = environ.get("REMOTE_ADDR", "")
    proxies = settings.web.trusted_proxies
    return networks.client_behind(proxies, peer, environ.get("HTTP_X_FORWARDED_FOR", "")) if proxies else peer


def _headers(path: str) -> list[tuple[str, str]]:
    if path.startswith("/static/"):
        return _PLAIN
    return _FOR_STAFF if path.startswith("/admin") else _FOR_GUESTS


def _is_staff_page(route: Route) -> bool:
    return route.path.startswith("/admin")


def _no(route: Route, status: int, words: str, headers: dict[str, str] | None = None) -> HTTPResponse:
    """A refusal: a page for people, a problem document for programs."""
    if _is_staff_page(route):
        page = dashboard.error_page(status, words)
        page.headers.update(headers or {})
        return page
    return api.problem(status, words, headers=headers)


def _refusal(route: Route, settings: Settings) -> HTTPResponse | None:
    """Default deny: None only when this caller may pass."""
    for_staff = route.path.startswith(("/admin", "/api/admin", "/sms/"))
    if for_staff and not networks.contains(settings.web.admin_networks, request.environ["edge.client"]):
        return api.problem(404, "There is nothing here.")
    if isinstance(route.who, str):
        return None
    session = _session()
    if session is None:
        if _is_staff_page(route) and route.method == "GET":
            return HTTPResponse("", 303, {"Location": "/admin/sign-in?next=" + quote(request.path)})
        return _no(route, 401, say("admin.sign_in_first"), {"WWW-Authenticate": "Bearer"})
    if session.staff.role not in route.who:
        return _no(route, 403, say("admin.no_reach"))
    if route.method != "GET" and session.kind == "browser":
        sent = request.get_header("X-CSRF-Token") or request.forms.get("csrf") or ""
        if not people.is_same(sent, session.csrf):
            return _no(route, 403, say("admin.form_too_old"))
    request.environ["edge.session"] = session
    request.environ["edge.staff"] = session.staff
    return None


def _session() -> StaffSession | None:
    now: datetime = request.environ["edge.now"]
    scheme, _, token = request.get_header("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return people.session_of_bearer(token.strip(), now)
    cookie = request.get_cookie("edge_session")
    return people.session_of(cookie, now) if cookie else None


def _told(reason: BadInput, route: Route) -> HTTPResponse:
    """Bad input, in the words of whoever typed it: a page for a form, a problem document for a program."""
    status = 429 if isinstance(reason, TooMany) else 422 if isinstance(reason, payments.KeyReused) else 400
    headers = {"Retry-After": str(reason.retry_after_s)} if isinstance(reason, TooMany) else {}
    is_form = (request.content_type or "").startswith(("application/x-www-form-urlencoded", "multipart/"))
    if route.path.startswith(("/api", "/sms/")) and not is_form:
        return api.problem(status, str(reason), reason.field, headers)
    if _is_staff_page(route):
        return dashboard.error_page(status, str(reason))
    page = portal.form_again(api.read_form(), str(reason), status)
    page.headers.update(headers)
    return page


def _fault(error: HTTPError) -> Any:
    """Whatever Bottle itself refuses, and our own faults, which are logged and never shown."""
    if error.status_code >= 500 and error.exception is not None:
        route = request.environ.get("bottle.route")  # its pattern: an address may be a guest's code or M-Pesa's secret
        log.error("a page broke: %s", route.rule if route else "no page", exc_info=error.exception)
    told = {404: "There is nothing here.", 405: "This address can't be called that way."}
    words = told.get(error.status_code, "Something went wrong. Please try again.")
    if "text/html" in request.get_header("Accept", "") and not request.path.startswith("/api"):
        page = render("guest_error.html", words=words, version=portal.VERSION, is_form=False)
        answer = HTTPResponse(page, error.status_code, {"Content-Type": "text/html; charset=UTF-8"})
    else:
        answer = api.problem(error.status_code, words)
    response.status = answer.status
    for name, value in dict(answer.headers).items():
        response.set_header(name, value)
    return answer.body


class WebServer:
    """waitress on a thread of its own. The limits: facts measured against slow-loris and event streams."""

    def __init__(self, settings: Settings) -> None:
        app = build(settings)
        self._server = create_server(
            app, _dispatcher=Dispatcher(app, settings.web.threads), host=settings.web.host, port=settings.web.port,
            connection_limit=1000, channel_timeout=30, cleanup_interval=5, asyncore_use_poll=True,
            max_request_header_size=16384, max_request_body_size=4 * 1024 * 1024 + 1, ident=None,
            expose_tracebacks=False, channel_request_lookahead=0, backlog=1024, clear_untrusted_proxy_headers=False,
        )  # fmt: skip
        accept_in_crowds(self._server)
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on; of use when the settings said 0."""
        return int(self._server.effective_port)

    @property
    def address(self) -> str:
        """Where people reach it."""
        host = self._server.effective_host
        return f"{reachable_at(host)}:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def probe(self) -> str:
        """Empty while the loop runs that reads the sockets."""
        return "" if self._thread.is_alive() else "the web server's loop has ended"

    def stop(self) -> None:
        self._server.close()
        self._server.task_dispatcher.shutdown(timeout=2)
