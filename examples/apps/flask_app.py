"""A Flask app that hands a report to Windsock and shows it at work. README.md in this folder says how to start it."""

from flask import Flask, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

import windsock

client = windsock.Client()  # the server in WINDSOCK_URL, else the one on this machine
app = Flask(__name__)


@app.get("/")
def index() -> str:
    """The form."""
    return render_template("report.html", windsock=client.url)


@app.post("/reports")
def create() -> Response:
    """Hand the work in, and answer at once."""
    job = client.submit("report", rows=request.form.get("rows", 250, type=int))
    return redirect(url_for("show", job=job.id), code=303)


@app.get("/reports/<job>")
def show(job: str) -> str:
    """The form, and the bar below it."""
    return render_template("report.html", windsock=client.url, job=job)


@app.get("/reports/<job>/total")
def total(job: str) -> dict[str, float]:
    """What the job returned."""
    result: dict[str, float] = client.result(job)
    return result
