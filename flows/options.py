"""The arguments and options that commands share, with what `--help` says of them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

DataSets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DATASET...",
        help="`sample` (the default of `run`), a folder or a CSV file, an address of either like s3://bucket/folder, or kaggle:owner/slug[/versions/N]; several are joined.",
        show_default=False,
    ),
]
WorkspaceOption = Annotated[
    str,
    typer.Option(
        "--workspace",
        "-w",
        metavar="DIR",
        help="The folder that everything is written to, or an address like s3://bucket/folder.",
    ),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        "-p",
        help="The settings to start from: sample (the default), standard, or original for comparison.",
    ),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="A YAML file with settings.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="SECTION.KEY=VALUE", help="One setting, like train.epochs=20; repeatable."
    ),
]
RunnerOption = Annotated[
    Literal["threads", "processes", "dask", "ray"],
    typer.Option(
        "--runner",
        help="Where videos are worked on in parallel; dask and ray: on the cluster that DASK_SCHEDULER_ADDRESS or RAY_ADDRESS names, else in processes here.",
    ),
]
DetectRunnerOption = Annotated[
    Literal["processes", "dask", "ray"] | None,
    typer.Option(
        "--runner",
        help="Judge batches of clips in several processes or on a cluster, like `run --runner`; one after the other in this process by default.",
        show_default=False,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="How many videos at once; the number of processors by default."),
]
MaxSkippedOption = Annotated[
    str,
    typer.Option(
        "--max-skipped",
        metavar="SHARE|NUMBER",
        help="Fail where more videos are skipped; a share allows one at least.",
    ),
]
TaskTimeLimitOption = Annotated[
    float,
    typer.Option(
        "--task-time-limit",
        min=0.01,
        max=8760,
        metavar="HOURS",
        help="Longest that a stage, or a batch of videos, may take.",
    ),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Fail where any video is skipped.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="DIR",
        help="The detector's folder, `model` of `run --json`; the promoted one of the workspace by default.",
        show_default=False,
    ),
]
FramesOption = Annotated[
    int | None,
    typer.Option(
        "--frames",
        min=1,
        max=10_000,
        help="Most frames of each clip to look at; as in training by default.",
        show_default=False,
    ),
]
TimeLimitOption = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        min=1,
        max=86_400,
        metavar="SECONDS",
        help="Give a clip up that takes longer to read, for each begun 100 MB of it; 300 by default.",
        show_default=False,
    ),
]
MemoryLimitOption = Annotated[
    int | None,
    typer.Option(
        "--memory-limit",
        min=512,
        max=1_048_576,
        metavar="MIB",
        help="Give a clip up that takes more memory to read; 4096 by default.",
        show_default=False,
    ),
]
EngineOption = Annotated[
    Literal["keras", "onnx"],
    typer.Option("--engine", help="onnx judges with a detector that `export` wrote, without TensorFlow."),
]
StreamOption = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        help="Instead of paths: a camera (0, /dev/video0), an address (rtsp, rtmp, http, tcp, udp), or a file that grows.",
        show_default=False,
    ),
]
EveryOption = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="Of a stream, from verdict to verdict.")
]
WindowOption = Annotated[
    float,
    typer.Option(min=0.1, metavar="SECONDS", help="Of a stream that each verdict is about, the newest ones."),
]
ForOption = Annotated[
    float | None,
    typer.Option("--for", min=0, metavar="SECONDS", help="Stop a stream after so long.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
