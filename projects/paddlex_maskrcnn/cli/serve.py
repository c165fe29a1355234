"""``serve``: a saved model as an HTTP service."""

from __future__ import annotations

import argparse
import importlib.util
import os

from ..requirements import require_detectron2
from ..serve.limits import Limits

HELP = "answer HTTP requests: post an image, get its objects as JSON (extra: serve)"
API_KEY = "PADDLEX_MASKRCNN_API_KEY"
_NEEDS = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
_LIMITS = {
    "max_image_mb": ("MB", "largest upload"),
    "max_pixels": ("N", "most pixels of an image"),
    "max_tiles": ("N", "most tiles of a request"),
    "timeout": ("S", "seconds that a request may take"),
    "max_queue": ("N", "requests taken on at a time, others get 503"),
    "batch_size": ("N", "images that run together at most"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f"With an API key in the environment variable {API_KEY}, requests need it in the header "
        f"X-API-Key. See docs/serve.md."
    )
    parser.add_argument(
        "model", metavar="MODEL_DIR", help="a saved model, such as output/best_model"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0: all (default: 127.0.0.1, this machine only)",
    )
    parser.add_argument("--port", type=int, default=8000, help="0: a free one (default: 8000)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name that requests may call the service by, several times if need be; *: any "
        "(default: IP addresses, localhost, and the machine's name where others can reach it)",
    )
    for name, (unit, text) in _LIMITS.items():
        default = getattr(Limits(), name)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default),
            default=default,
            metavar=unit,
            help=f"{text} (default: %(default)s)",
        )


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 after SIGTERM or Ctrl-C."""
    _require_packages()
    require_detectron2()
    from .. import load_model
    from ..engine.logs import run_log
    from ..serve.app import create_app, run_server
    from ..serve.guards import allowed_hosts

    limits = Limits(**{name: getattr(arguments, name) for name in _LIMITS})
    hosts = allowed_hosts(arguments.host, arguments.allow_host)
    key = os.environ.get(API_KEY) or None
    with run_log():
        # the service warms it up in the thread that uses it
        model = load_model(arguments.model, arguments.device, warm=False)
        app = create_app(model, limits, key, hosts)
        run_server(app, arguments.host, arguments.port, limits.timeout, key is not None)
    return 0


def _require_packages() -> None:
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"serve needs packages that are not installed ({', '.join(missing)}). Install them "
            f"with:\n    pip install 'paddlex-maskrcnn[serve]'",
            name=missing[0],
        )
