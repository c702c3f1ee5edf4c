"""The service as an ASGI application."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.trustedhost import TrustedHostMiddleware

from flows.api.access import Access, Credentials, OwnPagesOnly, allowed
from flows.api.jobs import JobReport, Jobs, QueueFullError, WriteEvidence
from flows.api.metrics import Metrics
from flows.api.session import session_folder
from flows.api.settings import ApiSettings
from flows.api.uploads import LONGEST_NAME, checked_suffix, receive, shown_name
from storage.layouts.base import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from tasks.detect import Detector

SWEEP_S = 30.0
OWN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
EVIDENCE_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The evidence is one file with all it needs in it, and no script: as a page of no site, it reaches neither the service nor anything else."""
BODY = {
    "requestBody": {
        "required": True,
        "description": "The clip itself, as it is; no form.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "empty, or broken off"},
    408: {"description": "stood still, or took too long"},
    413: {"description": "too large"},
    415: {"description": "neither a video nor an image by its name, or another type of content"},
    503: {"description": "the queue is full: see Retry-After"},
}


def make_app(
    detector: Detector,
    settings: ApiSettings,
    access: Access,
    write_evidence: WriteEvidence | None = None,
) -> FastAPI:
    """The service: judges clips with `detector`, which nothing else may use meanwhile, and makes evidence by `write_evidence`."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with session_folder() as folder:
            app.state.jobs = jobs = Jobs(folder, detector, write_evidence, settings, metrics)
            sweeping = asyncio.create_task(_sweep(jobs, min(SWEEP_S, settings.keep_minutes * 60)))
            try:
                yield
            finally:
                sweeping.cancel()
                await asyncio.to_thread(jobs.close)

    app = FastAPI(
        title="Fourier deepfake detection",
        description="Judges clips: real, fake or uncertain, with a probability, its interval, and what makes it doubtful.",
        version="1",
        docs_url=None,  # both pages load scripts of another site
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.access, app.state.settings, app.state.metrics = access, settings, metrics
    if access.hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=access.hosts, www_redirect=False)
    app.add_middleware(OwnPagesOnly)
    _add_jobs(app, settings, metrics)
    _add_page(app, settings, access)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Says that the service runs."""
        return {"status": "ok"}

    @app.get("/metrics", dependencies=[Depends(allowed)], response_class=Response)
    async def prometheus() -> Response:
        """Counts and times, for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _add_jobs(app: FastAPI, settings: ApiSettings, metrics: Metrics) -> None:
    token = [Depends(allowed)]
    unknown: dict[int | str, dict[str, Any]] = {404: {"description": "unknown, deleted or expired"}}

    @app.post("/jobs", status_code=202, dependencies=token, openapi_extra=BODY, responses={**REFUSALS})
    async def submit(
        request: Request,
        response: Response,
        name: Annotated[
            str,
            Query(description="What the clip is called; its ending says whether it is a video or an image."),
        ],
        evidence: Annotated[bool, Query(description="Whether to make a page of evidence too.")] = False,
    ) -> JobReport:
        """Upload a clip to be judged."""
        jobs: Jobs = request.app.state.jobs
        shown = shown_name(name)
        try:
            with jobs.receiving(checked_suffix(request, shown)) as clip:
                metrics.received.inc(await receive(request, clip, settings))
                report = jobs.submit(clip, shown, evidence=evidence)
        except QueueFullError as error:
            metrics.refused.labels(503).inc()
            raise HTTPException(503, str(error), {"Retry-After": str(error.retry_s)}) from error
        except HTTPException as error:
            metrics.refused.labels(error.status_code).inc()
            raise
        response.headers["Location"] = f"/jobs/{report.id}"
        return report

    @app.get("/jobs/{job_id}", dependencies=token, responses=unknown)
    async def job(request: Request, job_id: str) -> JobReport:
        """How far a job is, and its judgement."""
        if report := request.app.state.jobs.report(job_id):
            return report
        raise _unknown()

    @app.get("/jobs/{job_id}/evidence", response_class=HTMLResponse, responses=unknown)
    async def evidence(
        request: Request,
        job_id: str,
        given: Credentials,
        key: Annotated[str, Query(description="As in the job's `evidence`, instead of the token.")] = "",
    ) -> FileResponse:
        """The page that shows why."""
        found = request.app.state.jobs.evidence(job_id)
        if found is None or not hmac.compare_digest(key.encode(), found[1].encode()):
            request.app.state.access.check(given)
        if found is None:
            raise _unknown()
        return FileResponse(
            found[0], media_type="text/html", headers={"Content-Security-Policy": EVIDENCE_POLICY}
        )

    @app.delete("/jobs/{job_id}", status_code=204, dependencies=token, responses=unknown)
    async def delete(request: Request, job_id: str) -> None:
        """Delete a job, its upload, its result and its evidence."""
        if not request.app.state.jobs.delete(job_id):
            raise _unknown()


def _add_page(app: FastAPI, settings: ApiSettings, access: Access) -> None:
    own = {"Content-Security-Policy": OWN_POLICY}
    environment = Environment(
        loader=PackageLoader("flows.api", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    page = environment.get_template("page.html.j2").render(
        most_bytes=settings.most_bytes,
        keep_minutes=settings.keep_minutes,
        needs_token=access.token is not None,
        suffixes=sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES),
        longest_name=LONGEST_NAME,
    )
    folder = resources.files("flows.api") / "page"
    style, script = (folder / "page.css").read_bytes(), (folder / "page.js").read_bytes()
    for path, content, kind in (
        ("/", page, "text/html"),
        ("/page.css", style, "text/css"),
        ("/page.js", script, "text/javascript"),
    ):
        app.get(path, include_in_schema=False)(_fixed(content, kind, own))


def _fixed(content: str | bytes, kind: str, headers: dict[str, str]) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(content, media_type=kind, headers=headers)

    return answer


async def _sweep(jobs: Jobs, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        jobs.forget_old()


def _unknown() -> HTTPException:
    return HTTPException(404, "there is no such job: it is unknown, deleted or expired")
