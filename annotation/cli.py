"""`annotate`: the commands. They translate options and exit codes; they decide nothing."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotation.assist_cli import assist
from annotation.options import (
    TIMEOUT,
    URL,
    JsonOption,
    ProjectOption,
    PulledOption,
    TimeoutOption,
    TokenOption,
    UrlOption,
    folder,
    folder_to_write,
)
from annotation.printing import (
    print_exported,
    print_pulled,
    print_pushed,
    print_solved,
    print_status,
)
from annotation.serve_cli import serve
from annotation.settings import Gaps, Patience, Wanted
from console.commands import DONE, FAILED, new_app, run
from console.messages import fail, say, show_json
from console.options import existing_file, switch
from console.progress import progress

if TYPE_CHECKING:
    from annotation.server.client import Client

Begin = Callable[[int], Callable[[int], None]]  # how many there are -> gets how many are done

app = new_app("Send photos to Label Studio, and fetch the alphas that people make of them.")


@app.command()
def push(
    project: ProjectOption,
    photos: Annotated[
        Path | None,
        folder(
            "--photos", "Folder of photos, also searched below; no side may exceed 4096 pixels."
        ),
    ] = None,
    alphas: Annotated[
        Path | None,
        folder("--alphas", "Folder of alphas for annotators to start from, named like the photos."),
    ] = None,
    trimaps: Annotated[
        Path | None,
        folder(
            "--trimaps", "Folder of trimaps for annotators to start from, named like the photos."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Table of what is known of the photos: file, subject, transparency, licence.",
            metavar="CSV",
            callback=existing_file,
        ),
    ] = None,
    local_files: Annotated[
        Path | None,
        folder(
            "--local-files",
            "Upload nothing: the server reads the photos itself, from below this folder "
            "(its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT).",
        ),
    ] = None,
    solved: Annotated[
        Path | None,
        folder(
            "--solved",
            "Push solved alphas for approval, instead of photos: the folder that `annotate "
            "pull` and `annotate solve` wrote.",
        ),
    ] = None,
    url: UrlOption = URL,
    token: TokenOption = None,
    timeout: TimeoutOption = TIMEOUT,
    json_: JsonOption = False,
) -> None:
    """Send photos to a project; what is there already is not sent again."""
    from annotation.push import Sources
    from annotation.push import push as run_push
    from annotation.push_solved import push_solved

    others = (photos, alphas, trimaps, labels, local_files)
    if (photos is None) == (solved is None) or (solved and any(others)):
        raise typer.BadParameter("give either --photos (and what belongs to them) or --solved")
    with client_of(url, token, timeout) as client, _progress("push", "photos") as begin:
        if photos is not None:
            sources = Sources(photos, alphas, trimaps, labels, local_files)
            found = run_push(client, project, sources, begin)
        else:
            assert solved is not None
            found = push_solved(client, project, solved, begin)
    _show(found, print_pushed, json_)
    raise typer.Exit(FAILED if found.failed else DONE)


@app.command()
def pull(
    project: ProjectOption,
    out: Annotated[Path, folder_to_write("--out", "Folder to write to.")],
    state: Annotated[
        Wanted,
        typer.Option(
            help="Which annotations to pull: all that were submitted, or only approved ones."
        ),
    ] = Wanted.ALL,
    prune: Annotated[
        bool,
        switch("--prune", "Remove what was pulled before and is no longer on the server."),
    ] = False,
    gaps: Annotated[
        Gaps,
        typer.Option(help="What the unpainted pixels beside a painted Foreground count as."),
    ] = Gaps.UNKNOWN,
    url: UrlOption = URL,
    token: TokenOption = None,
    timeout: TimeoutOption = TIMEOUT,
    json_: JsonOption = False,
) -> None:
    """Fetch alphas and trimaps into a folder; again, only those that changed."""
    from annotation.pull import pull as run_pull

    with client_of(url, token, timeout) as client, _progress("pull", "tasks") as begin:
        found = run_pull(client, project, out, state, begin, prune=prune, gaps=gaps)
    _show(found, print_pulled, json_)
    raise typer.Exit(FAILED if found.bad or found.gone else DONE)


@app.command()
def solve(
    out: Annotated[
        Path,
        folder("--out", "Folder that `annotate pull` wrote; the alphas go to its folder solved."),
    ],
    method: Annotated[
        str, typer.Option(help="closed-form, or the name of the model whose alphas --alphas holds.")
    ] = "closed-form",
    alphas: Annotated[
        Path | None,
        folder("--alphas", "Folder of a model's alphas of the pulled photos, named like them."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Turn painted trimaps into alphas; known pixels stay as they were painted."""
    from annotation.solve import CLOSED_FORM, solve_folder

    if (alphas is None) != (method == CLOSED_FORM):
        raise typer.BadParameter("--alphas and --method, the name of their model, go together")
    with progress("solve", None, "trimaps") as advance:
        found = solve_folder(out, method, advance, alphas)
    _show(found, print_solved, json_)
    raise typer.Exit(FAILED if found.failed else DONE)


@app.command()
def export(
    out: Annotated[Path, folder_to_write("--out", "Folder to write the foregrounds to.", "FGS")],
    pulled: PulledOption = Path("annotations"),
    json_: JsonOption = False,
) -> None:
    """Turn approved alphas into RGBA foregrounds, for `datagen compose --fg`."""
    from annotation.export import export_folder

    with progress("export", None, "alphas") as advance:
        found = export_folder(pulled, out, advance)
    _show(found, print_exported, json_)
    raise typer.Exit(FAILED if found.failed else DONE)


@app.command()
def status(
    project: ProjectOption,
    target: Annotated[
        int, typer.Option(help="How many foregrounds are wanted in all.", min=1, metavar="N")
    ] = 440,
    url: UrlOption = URL,
    token: TokenOption = None,
    timeout: TimeoutOption = TIMEOUT,
    json_: JsonOption = False,
) -> None:
    """Show how far a project is: by state, what is missing, and the annotators.

    Only tasks that changed since the last time are read.
    """
    from annotation.files.memory import cache_folder
    from annotation.status import measure

    with client_of(url, token, timeout) as client, _progress("status", "tasks") as begin:
        found = measure(client, project, target, begin, cache_folder())
    _show(found, print_status, json_)
    raise typer.Exit(FAILED if found.bad else DONE)


app.command()(serve)
app.command()(assist)


def client_of(url: str, token: str | None, timeout: float) -> Client:
    """A session with the server that the options name."""
    from annotation.server.client import Client

    try:
        first = min(timeout, Patience().first)
        patience = Patience(answer=timeout, work=5 * timeout, first=first)
        return Client(url, token or "", patience, say)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def _progress(title: str, unit: str) -> Iterator[Begin]:
    """What is called with the number of things to do, once it is known."""
    with ExitStack() as stack:
        yield lambda total: stack.enter_context(progress(title, total, unit))


def _show(found: Any, show: Callable[[Any], None], is_json: bool) -> None:
    if is_json:
        show_json(asdict(found))
    else:
        show(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake becomes one sentence and an exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    hint = f"; what is done is kept, go on with: {_again(given)}"

    def explain(error: Exception) -> int | None:
        from annotation.server.faults import OutageError

        if not isinstance(error, OutageError):
            return None
        fail(f"{error}{hint}")
        return FAILED

    run(app, "annotate", given, hint, explain)


def _again(given: Sequence[str]) -> str:
    """The command as it was typed, but for the token."""
    words = list(given)
    for number, word in enumerate(given):
        if word == "--token" and number + 1 < len(words):
            words[number + 1] = "..."
        elif word.startswith("--token="):
            words[number] = "--token=..."
    return shlex.join(["annotate", *words])


if __name__ == "__main__":
    main()
