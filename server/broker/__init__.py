"""The only room that knows Redis."""

from server.broker.broker import Broker
from server.broker.inquiry import no_job
from server.broker.link import Link
from server.broker.record import Change
from server.broker.ticker import Beat, Ticker
from server.broker.values import (
    How,
    Kin,
    Lease,
    ListWish,
    LogPiece,
    NewJob,
    Page,
    Report,
    ReportAnswer,
    Submitted,
    Verdict,
)

__all__ = [
    "Beat",
    "Broker",
    "Change",
    "How",
    "Kin",
    "Lease",
    "Link",
    "ListWish",
    "LogPiece",
    "NewJob",
    "Page",
    "Report",
    "ReportAnswer",
    "Submitted",
    "Ticker",
    "Verdict",
    "no_job",
]
