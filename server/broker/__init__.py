"""The only room that knows Redis."""

from server.broker.broker import Broker, no_job
from server.broker.link import Link
from server.broker.record import Change
from server.broker.ticker import Beat, Ticker
from server.broker.values import Lease, ListWish, LogPiece, NewJob, Page, Report, ReportAnswer, Verdict

__all__ = [
    "Beat",
    "Broker",
    "Change",
    "Lease",
    "Link",
    "ListWish",
    "LogPiece",
    "NewJob",
    "Page",
    "Report",
    "ReportAnswer",
    "Ticker",
    "Verdict",
    "no_job",
]
