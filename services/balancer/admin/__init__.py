"""The admin API: what the fleet, the ledger and the supervisor know, for people and machines.

status      what the supervisor has said, and whether this balancer is ready
scoreboard  clusters and targets as data: state, counts, latencies, fastest first
peers       other balancers, as data and as metrics
metrics     the ledger as Prometheus metrics
api         the routes
server      uvicorn on the socket that the supervisor bound
"""

from services.balancer.admin.api import make_app
from services.balancer.admin.server import AdminServer
from services.balancer.admin.status import Status

__all__ = ["AdminServer", "Status", "make_app"]
