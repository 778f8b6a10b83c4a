"""The application: serve."""

from pathlib import Path
from typing import Annotated

import typer

from amiss.cli import _console as console
from amiss.cli._log import logging_to_stderr
from amiss.cli._watch import allow_open_files, signals
from amiss.errors import UsageError


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(console.guarded(serve))
    users = typer.Typer(help="Users of `amiss serve`.", no_args_is_help=True)
    users.callback()(lambda: None)
    users.command("password")(console.guarded(password))
    app.add_typer(users, name="users")


def serve(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="Configuration (YAML) of `amiss watch`.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Append every score to this .csv or .jsonl.")] = None,
    media: Annotated[
        Path | None, typer.Option(help="Instead of a configuration: a folder of recorded videos, without cameras.")
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(help="With --media: detector directory; default: the small one that comes with amiss."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="With --media: file of the backbone's weights, if not found by name.")
    ] = None,
    port: Annotated[int, typer.Option(help="With --media: the port.", min=0, max=65535)] = 8720,
) -> None:
    """Watch cameras and serve the application: pages and API to see, review and teach, behind a login."""
    from amiss.watch import load_config

    if (config is None) == (media is None):
        raise UsageError("give a configuration, or --media FOLDER")
    if media is None and (detector is not None or weights is not None):
        raise UsageError("--detector and --weights belong to --media: a configuration names its own")
    if media is not None and not media.is_dir():
        raise UsageError(f"--media {media}: there is no such folder")
    settings = load_config(config) if config is not None else None
    if settings is not None and not settings.http.enabled:
        raise UsageError("http.enabled is false: there is nothing to serve; use `amiss watch`")
    from amiss.app import AppService, MediaService  # with torch, which takes seconds
    from amiss.watch import ScoreLog
    from amiss.watch.config import HttpSettings

    allow_open_files()
    with logging_to_stderr():
        service: AppService | MediaService
        if settings is not None:
            score_log = ScoreLog(log) if log is not None else None
            service = AppService(settings, config, on_first=_tell, score_log=score_log)
        else:
            assert media is not None
            service = MediaService(media.resolve(), HttpSettings(port=port), detector, weights, on_first=_tell)
        with signals(service):
            service.run(lambda: console.note(f"open {service.url}"))


def password(
    name: Annotated[str, typer.Argument(help="Name of the user.")],
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="Configuration of `amiss serve`.")] = None,
    media: Annotated[Path | None, typer.Option(help="Or the folder of recorded videos that it serves.")] = None,
) -> None:
    """Give somebody who has lost it a new password, and print it; where the user is logged in, that ends."""
    from amiss.watch import load_config

    if (config is None) == (media is None):
        raise UsageError("give a configuration, or --media FOLDER")
    settings = load_config(config) if config is not None else None
    from amiss.app import media_database, new_password

    if settings is not None:
        database = settings.database.get_secret_value()
    else:
        assert media is not None
        database = media_database(media.resolve())
    console.out.print(new_password(database, name), markup=False)


def _tell(name: str, password: str) -> None:
    """On the terminal alone, not in the log."""
    console.note(f"first login: name {name}, password {password} (shown this once; change it after you have logged in)")
