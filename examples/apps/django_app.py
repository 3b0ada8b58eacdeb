"""A Django project in one file that hands a report to Windsock and shows it at work.

README.md in this folder says how to start it. A real project has settings, views and URLs in files of their own.
"""

import os
import sys
from pathlib import Path

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

import windsock

settings.configure(
    DEBUG=True,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "an example needs no secret"),
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [Path(__file__).parent / "templates"],
        }
    ],
)
client = windsock.Client()  # the server in WINDSOCK_URL, else the one on this machine


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The form."""
    return render(request, "report.html", {"windsock": client.url})


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    """Hand the work in, and answer at once."""
    job = client.submit("report", rows=int(request.POST["rows"]))
    return redirect("show", job=job.id)


@require_GET
def show(request: HttpRequest, job: str) -> HttpResponse:
    """The form, and the bar below it."""
    return render(request, "report.html", {"windsock": client.url, "job": job})


@require_GET
def total(request: HttpRequest, job: str) -> JsonResponse:
    """What the job returned."""
    return JsonResponse(client.result(job))


urlpatterns = [
    path("", index),
    path("reports", create),
    path("reports/<str:job>", show, name="show"),
    path("reports/<str:job>/total", total),
]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
