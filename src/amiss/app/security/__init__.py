"""What stands before every route: who asks, from which page, with how much; headers, and errors as problem+json."""

from amiss.app.security._addresses import check_camera_address, check_message_server
from amiss.app.security._authentication import COOKIE, SECURE_COOKIE, Authentication, cookie_name
from amiss.app.security._body_limit import BodyLimit
from amiss.app.security._folders import told_to
from amiss.app.security._headers import SafeHeaders
from amiss.app.security._problems import PROBLEM_TYPE, Problem, add_problem_handlers, problem

__all__ = [
    "COOKIE",
    "PROBLEM_TYPE",
    "SECURE_COOKIE",
    "Authentication",
    "BodyLimit",
    "Problem",
    "SafeHeaders",
    "add_problem_handlers",
    "check_camera_address",
    "check_message_server",
    "cookie_name",
    "problem",
    "told_to",
]
