"""The command line: `fourier-deepfake`. Results on stdout, the log on stderr; exit code 0 done, 1 failed, 2 bad input."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.ending import left_at_once, messages
from flows.options import (
    ConfigOption,
    DataSets,
    DetectRunnerOption,
    EngineOption,
    EveryOption,
    ForOption,
    FramesOption,
    JsonOption,
    MaxSkippedOption,
    MemoryLimitOption,
    ModelOption,
    PresetOption,
    RunnerOption,
    SetOption,
    StreamOption,
    StrictOption,
    TaskTimeLimitOption,
    TimeLimitOption,
    WindowOption,
    WorkersOption,
    WorkspaceOption,
)

if TYPE_CHECKING:
    from flows.config import Settings
    from flows.execution import Execution
    from storage.isolation import ReadingLimits

# What makes a local Prefect server quick and quiet enough for thousands of tasks; what is set already, stays.
PREFECT_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # `detect --runner` needs tasks, and no flow
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",  # a temporary server that is stopped in mid-work says so at length
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}

app = typer.Typer(
    name="fourier-deepfake",
    help="From a data set of videos to a judged deepfake detector.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its markup takes [/versions/N] for a tag
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(rich_markup_mode=None)
app.add_typer(models_app, name="models")

Work = Callable[["Settings", str, "Execution"], dict[str, Any]]


def flow_command(work: Work) -> Work:
    """Make a command of `work`, which runs a flow and says what came of it; its docstring is the help text."""

    @app.command(name=work.__name__, help=work.__doc__)
    def command(
        datasets: DataSets = None,
        workspace: WorkspaceOption = "workspace",
        preset: PresetOption = None,
        config: ConfigOption = None,
        overrides: SetOption = None,
        runner: RunnerOption = "threads",
        workers: WorkersOption = None,
        max_skipped: MaxSkippedOption = "5%",
        strict: StrictOption = False,
        task_time_limit: TaskTimeLimitOption = 24.0,
        as_json: JsonOption = False,
    ) -> None:
        with _work(workspace) as root:
            execution = _execution(runner, workers, max_skipped, task_time_limit, strict=strict)
            summary = work(_settings(datasets, preset, config, overrides), root, execution)
        _print(summary, as_json)

    return work


@flow_command
def run(settings: "Settings", root: str, execution: "Execution") -> dict[str, Any]:
    """Run the whole pipeline: prepare, explore, train, judge, report. Unchanged stages are skipped.

    Example: fourier-deepfake run my_videos --preset standard --set train.epochs=20
    """
    from flows.observe import unwatched
    from flows.pipeline import pipeline, unchanged
    from flows.summary import pipeline_summary
    from storage.remote import open_workspace

    found = unchanged(settings, open_workspace(root), execution.max_skipped) if unwatched() else None
    return pipeline_summary(root, found or pipeline(settings, root, execution))


@flow_command
def prepare(settings: "Settings", root: str, execution: "Execution") -> dict[str, Any]:
    """Data sets to a split manifest: download, extract, manifest, split.

    Example: fourier-deepfake prepare my_videos --set frames.crop=face --json
    """
    from flows.prepare import prepare
    from flows.summary import prepare_summary

    return prepare_summary(root, prepare(settings, root, execution=execution))


@flow_command
def explore(settings: "Settings", root: str, execution: "Execution") -> dict[str, Any]:
    """Prepare, then look at the data and its spectra: tables, figures, a report. One class is enough.

    Example: fourier-deepfake explore my_videos
    """
    from flows.explore import explore
    from flows.summary import explore_summary

    return explore_summary(root, explore(settings, root, execution))


@flow_command
def train(settings: "Settings", root: str, execution: "Execution") -> dict[str, Any]:
    """Prepare, then train, calibrate and judge a detector; leaves the model bundle.

    Example: fourier-deepfake train my_videos --preset standard
    """
    from flows.summary import train_summary
    from flows.train import train

    return train_summary(root, train(settings, root, execution))


@app.command()
def evaluate(
    datasets: DataSets = None,
    model: ModelOption = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also perturb the frames in eight ways, at each level.")
    ] = False,
    adversarial: Annotated[
        bool,
        typer.Option("--adversarial", help="Also attack some videos with the detector's gradient; slow."),
    ] = False,
    workspace: WorkspaceOption = "workspace",
    config: ConfigOption = None,
    overrides: SetOption = None,
    runner: RunnerOption = "threads",
    workers: WorkersOption = None,
    max_skipped: MaxSkippedOption = "5%",
    strict: StrictOption = False,
    task_time_limit: TaskTimeLimitOption = 24.0,
    as_json: JsonOption = False,
) -> None:
    """Judge a trained detector on other data sets: all their usable videos are the test, nothing is chosen on them.

    Example: fourier-deepfake evaluate other_videos --model workspace/models/KEY --robustness
    """
    with _work(workspace) as root:
        from flows.evaluate import evaluate, evaluation_settings
        from flows.summary import evaluate_summary
        from tasks.model import open_model

        folder = _model_folder(model, root)
        settings = evaluation_settings(open_model(folder), config, overrides or (), datasets or ())
        asked = {"robustness": robustness, "adversarial": adversarial}
        execution = _execution(runner, workers, max_skipped, task_time_limit, strict=strict)
        evaluated = evaluate(settings, str(folder), root, **asked, execution=execution)
        summary = evaluate_summary(root, folder, evaluated)
    _print(summary, as_json)


@app.command()
def detect(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Videos, images, folders of them; - reads paths from stdin, one a line.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    engine: EngineOption = "keras",
    stream: StreamOption = None,
    every: EveryOption = 5.0,
    window: WindowOption = 10.0,
    seconds: ForOption = None,
    frames: FramesOption = None,
    time_limit: TimeLimitOption = None,
    memory_limit: MemoryLimitOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Also write a .json, .csv or .parquet file."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE.html", help="Also write the evidence, as a page for a browser."
        ),
    ] = None,
    runner: DetectRunnerOption = None,
    workers: WorkersOption = None,
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """Judge clips that nobody labelled: real, fake or uncertain, with a probability, its interval, and what makes it doubtful.

    Example: fourier-deepfake detect clip.mp4 folder --model workspace/models/KEY --output verdicts.csv
    """
    if bool(paths) == (stream is not None):
        raise typer.BadParameter("expected paths, or --stream SOURCE")  # noqa: EM101
    if stream is not None and (output or report):
        raise typer.BadParameter("--stream writes no files: send stdout into one")  # noqa: EM101
    if runner and (stream is not None or report):
        raise typer.BadParameter("--runner judges files, without --stream and --report")  # noqa: EM101
    with messages():
        from flows.live import print_windows
        from flows.terminal import log_to_terminal
        from tasks.live import Live

        live = Live(stream, every_s=every, window_s=window) if stream is not None else None
        with log_to_terminal():
            from flows.detect import detect_paths, listed
            from tasks.detect import Detector

            folder = _model_folder(model, workspace)
            limits = _limits(time_limit, memory_limit)
            if runner:
                from flows.execution import Execution
                from flows.judge import judge_on

                execution = Execution(runner=runner, workers=workers)
                judged = judge_on(execution, folder, engine, frames, limits, listed(paths or ()))
                failed = detect_paths(judged, output, as_json=as_json)
            else:
                detector = Detector.load(folder, engine=engine, frames=frames, limits=limits)
                if live:
                    print_windows(live.windows(detector, seconds), as_json=as_json)
                    return
                judged = detector.judge_all(listed(paths or ()))
                page = (report, detector) if report else None
                failed = detect_paths(judged, output, page, as_json=as_json)
    if failed:
        raise typer.Exit(1)


@app.command()
def api(
    model: ModelOption = None,
    engine: EngineOption = "keras",
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; others than this machine need --token-file.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="A secret of one line, which callers must send; none on this machine by default.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        float, typer.Option("--keep", min=0.1, max=10_080, help="Minutes until a result is deleted.")
    ] = 60,
    largest: Annotated[
        int, typer.Option("--largest", min=1, max=1_000_000, help="Largest upload, in MiB.")
    ] = 1024,
    queue: Annotated[
        int,
        typer.Option("--queue", min=1, max=1000, help="Most clips that are received, wait or are judged."),
    ] = 8,
    frames: FramesOption = None,
    time_limit: TimeLimitOption = None,
    memory_limit: MemoryLimitOption = None,
    workspace: WorkspaceOption = "workspace",
) -> None:
    """Serve a detector: a web page to drop clips on, and an HTTP interface for programs.

    Example: fourier-deepfake api --model workspace/models/KEY --port 8000
    """
    with messages():
        from flows.api.access import Access

        access = Access.at(host, token_file)
        from flows.terminal import log_to_terminal

        with log_to_terminal():
            from flows.api.serve import serve
            from flows.api.settings import MEBIBYTE, ApiSettings
            from tasks.detect import Detector
            from tasks.evidence import write_report

            settings = ApiSettings(most_bytes=largest * MEBIBYTE, queue=queue, keep_minutes=keep)
            folder = _model_folder(model, workspace)
            limits = _limits(time_limit, memory_limit)
            detector = Detector.load(folder, engine=engine, frames=frames, limits=limits)
            evidence = write_report if engine == "keras" else None  # it needs the slopes of the network
            serve(detector, settings, access, host, port, evidence)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder.")],
    formats: Annotated[
        list[str],
        typer.Option(
            "--format",
            "-f",
            help="onnx (which detect --engine onnx runs), saved_model, litert or openvino; repeatable.",
        ),
    ],
    model: ModelOption = None,
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """Write a detector's networks in formats that run without Keras, compared with it, and all that belongs to it.

    Example: fourier-deepfake export exported --model workspace/models/KEY --format onnx
    """
    with messages():
        from flows.terminal import log_to_terminal
        from tasks.model import open_model

        with log_to_terminal():
            from flows.summary import print_export
            from tasks.export import export

            source = _model_folder(model, workspace)
            print_export(export(open_model(source), folder, formats), as_json)


@app.command()
def protocol(
    name: Annotated[
        Literal["k-fold", "cross-manipulation", "cross-compression"],
        typer.Argument(help="What goes round: the folds, the method held out, the compression trained on."),
    ],
    datasets: DataSets = None,
    workspace: WorkspaceOption = "workspace",
    preset: PresetOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    runner: RunnerOption = "threads",
    workers: WorkersOption = None,
    max_skipped: MaxSkippedOption = "5%",
    strict: StrictOption = False,
    task_time_limit: TaskTimeLimitOption = 24.0,
    as_json: JsonOption = False,
) -> None:
    """Train and judge a detector for each fold, held-out method or compression, and print one table of them.

    Example: fourier-deepfake protocol cross-manipulation my_videos --preset standard
    """
    with _work(workspace) as root:
        from flows.protocol import protocol
        from flows.summary import print_protocol, protocol_summary

        settings = _settings(datasets, preset, config, overrides)
        execution = _execution(runner, workers, max_skipped, task_time_limit, strict=strict)
        summary = protocol_summary(root, protocol(settings, name, root, execution))
    print_protocol(summary, as_json)


@app.command()
def plan(
    datasets: DataSets = None,
    workspace: WorkspaceOption = "workspace",
    preset: PresetOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what `run` would do, stage by stage, and why; run nothing.

    Example: fourier-deepfake plan my_videos --set train.epochs=20
    """
    with _work(workspace, make=False) as root:
        from flows.pipeline import plan
        from flows.summary import plan_rows, print_plan
        from storage.remote import open_workspace

        settings = _settings(datasets, preset, config, overrides)
        print_plan(plan_rows(plan(settings, open_workspace(root))), as_json)


@app.command()
def inspect(
    datasets: DataSets = None,
    headers: Annotated[
        bool,
        typer.Option("--probe", help="Open every file: lengths, codecs, copies, files that cannot be read."),
    ] = False,
    faces: Annotated[
        int, typer.Option("--faces", min=0, metavar="N", help="Look for faces in N videos of each class too.")
    ] = 0,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a data set is before any work: layout, counts, copies, and facts that give the classes away.

    Example: fourier-deepfake inspect my_videos --probe
    """
    with messages():
        from flows.inspect import inspect_settings
        from flows.summary import print_findings
        from flows.terminal import log_to_terminal

        with log_to_terminal():
            found = inspect_settings(
                _settings(datasets, None, config, overrides), headers=headers, faces=faces
            )
        print_findings(found, as_json)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new folder.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal files.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write the sample data set: generated clips, real and with a region made by up-convolution.

    Example: fourier-deepfake sample my_sample --seed 1
    """
    with messages():
        from tasks.sample import SampleSettings, write_sample

        write_sample(folder, SampleSettings(), seed)
        videos = sum(1 for _ in folder.rglob("*.mp4"))
        _print({"folder": str(folder.resolve()), "videos": videos, "seed": seed}, as_json)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A model's folder, or that of an evaluation.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The same of another detector.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed of the intervals.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say which of two detectors is better on the videos that both judged, and whether that can be told.

    Example: fourier-deepfake compare workspace/models/1f3a workspace/models/9c2e
    """
    with messages():
        from flows.summary import print_comparison
        from fourier_model.metrics import EvaluationSettings
        from tasks.compare import compare

        print_comparison(compare(first, second, EvaluationSettings(), seed), as_json)


@app.command()
def runs(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="The first digits of runs to show; all by default."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="RUN",
            help="The run to compare with; by default that of the promoted model, else the earliest shown.",
            show_default=False,
        ),
    ] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="How many of the newest to show.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed of the intervals.")] = 0,
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """Put the runs of a workspace side by side: what differed, what came out, and whether that is more than noise.

    Example: fourier-deepfake runs --against 3f09
    """
    with messages():
        from flows.ledger import print_runs, runs_summary
        from storage.remote import open_workspace
        from tasks.runs import side_by_side

        opened = open_workspace(workspace)
        compared = side_by_side(opened, names or [], against, last, seed)
        print_runs(runs_summary(str(opened), *compared), as_json)


@models_app.callback(invoke_without_command=True)
def models(
    context: typer.Context, workspace: WorkspaceOption = "workspace", as_json: JsonOption = False
) -> None:
    """List the detectors of a workspace with their numbers, and say which one is promoted.

    Example: fourier-deepfake models --json
    """
    if context.invoked_subcommand:
        return
    with messages():
        from flows.ledger import print_models
        from storage.remote import open_workspace
        from tasks.promotion import list_models

        opened = open_workspace(workspace)
        print_models({"workspace": str(opened), "models": list_models(opened)}, as_json)


@models_app.command()
def promote(
    model: Annotated[str, typer.Argument(help="A model's folder, or the first digits of its key.")],
    force: Annotated[
        bool,
        typer.Option("--force", help="Promote it also where it is worse, or cannot be compared."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed of the intervals.")] = 0,
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """Make a model the recommended one, unless it is worse than that on the videos that both judged.

    Example: fourier-deepfake models promote 1f3a
    """
    with messages():
        from flows.ledger import print_promotion
        from storage.remote import open_workspace
        from tasks.promotion import promote

        print_promotion(promote(open_workspace(workspace), model, force=force, seed=seed), as_json)


def main() -> None:
    """The console script."""
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        app()
    finally:
        # A temporary server says when it stops, behind the results.
        logging.getLogger("prefect").setLevel(logging.WARNING)


def _settings(
    datasets: list[str] | None, preset: str | None, config: Path | None, overrides: list[str] | None
) -> "Settings":
    from flows.config import load_settings

    return load_settings(preset, config, overrides or (), datasets or ())


def _execution(
    runner: str, workers: int | None, max_skipped: str, task_time_limit: float, *, strict: bool
) -> "Execution":
    """How to carry a run out. Raises SkipLimitError for a limit that is none."""
    from flows.execution import Execution
    from tasks.skipped import STRICT, most_skipped

    limit = STRICT if strict else max_skipped
    most_skipped(limit, videos=0)
    return Execution.model_validate(
        {"runner": runner, "workers": workers, "max_skipped": limit, "time_limit_h": task_time_limit}
    )


def _limits(time_limit: float | None, memory_limit: int | None) -> "ReadingLimits":
    """How far the reading of a clip goes: what a call gives, and the defaults."""
    from storage.isolation import ReadingLimits

    given = {"time_limit_s": time_limit, "memory_limit_mb": memory_limit}
    return ReadingLimits.model_validate({name: value for name, value in given.items() if value is not None})


def _model_folder(model: str | None, workspace: str) -> Path:
    """The folder that a call names, or that of the workspace's promoted detector."""
    from storage.remote import local_folder, open_workspace
    from tasks.promotion import promoted_folder

    return local_folder(model) if model else promoted_folder(open_workspace(workspace))


@contextmanager
def _work(workspace: str, *, make: bool = True) -> Iterator[str]:
    """The workspace's absolute path or its address, checked before the slow imports; the log on the terminal; clear messages."""
    with messages():
        from storage.remote import open_workspace
        from storage.workspace import told_of_a_full_disk

        opened = open_workspace(workspace)
        if make:
            opened.prepare()
        from flows.observe import quick_alone
        from flows.terminal import log_to_terminal

        with left_at_once(), log_to_terminal(), quick_alone(), told_of_a_full_disk(opened.root):
            yield str(opened)


def _print(summary: dict[str, Any], as_json: bool) -> None:
    from flows.summary import print_summary

    print_summary(summary, as_json)


if __name__ == "__main__":
    main()
