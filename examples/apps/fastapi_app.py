"""A FastAPI app that hands a report to Windsock and shows it at work. README.md in this folder says how to start it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

import windsock

client = windsock.AsyncClient()  # the server in WINDSOCK_URL, else the one on this machine
templates = Jinja2Templates(Path(__file__).parent / "templates")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """The client's connections end with the app."""
    yield
    await client.close()


app = FastAPI(lifespan=lifespan)


def page(request: Request, job: str | None = None) -> HTMLResponse:
    """The form, and the bar below it."""
    return templates.TemplateResponse(request, "report.html", {"windsock": client.url, "job": job})


@app.get("/")
async def index(request: Request) -> HTMLResponse:
    """The form."""
    return page(request)


@app.post("/reports")
async def create(rows: Annotated[int, Form()] = 250) -> RedirectResponse:
    """Hand the work in, and answer at once."""
    job = await client.submit("report", rows=rows)
    return RedirectResponse(f"/reports/{job.id}", status_code=303)


@app.get("/reports/{job}")
async def show(request: Request, job: str) -> HTMLResponse:
    """The form, and the bar below it."""
    return page(request, job)


@app.get("/reports/{job}/total")
async def total(job: str) -> dict[str, float]:
    """What the job returned."""
    result: dict[str, float] = await client.result(job)
    return result
