"""Hooks and checks for schemathesis, which reads this file because SCHEMATHESIS_HOOKS names it."""

from itertools import count

import schemathesis
from schemathesis.generation import GenerationMode

REGISTER = "/api/auth/register"
registered = count(1)


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Replaces the example address of the document, which can be registered only once."""
    if case.operation.path == REGISTER and isinstance(case.body, dict) and case.body.get("email") == "ann@mail.com":
        case.body = case.body | {"email": f"ann{next(registered)}@mail.com"}


@schemathesis.check
def registration_of_good_data(ctx, response, case):
    """Valid data may be refused only because the address is taken."""
    if case.operation.path != REGISTER or case.method.upper() != "POST":
        return
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    refused = response.json() if response.status_code == 400 else {}
    assert not refused or refused["code"] == "email_taken", f"refused: {refused['message']}"
