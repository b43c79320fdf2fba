"""The words that both services, compose and the orchestrator must agree on.

Standard library only: every image carries this file. Paths, headers, ports, environment names and
labels live here once; a test holds compose, the images and the plan to them.
"""

from __future__ import annotations

from typing import Final

# -- ports ---------------------------------------------------------------------------------------
WORKER_PORT: Final = 8000
BALANCER_PORT: Final = 8000
ADMIN_PORT: Final = 9900
PEERS_PORT: Final = 9901  # UDP, between balancers

# -- paths of a worker ---------------------------------------------------------------------------
HEALTH_PATH: Final = "/healthz"  # the process lives
READY_PATH: Final = "/readyz"  # it wants traffic; 503 while draining
LOAD_PATH: Final = "/load"  # the load report, as JSON

# -- clusters of the shipped presets -------------------------------------------------------------
CLUSTER_MICRO: Final = "cluster1"
CLUSTER_LARGE: Final = "cluster2"

# -- environment of a worker ---------------------------------------------------------------------
ENV_INSTANCE_ID: Final = "INSTANCE_ID"
ENV_CLUSTER_NAME: Final = "CLUSTER_NAME"
ENV_WORK_MS: Final = "WORK_MS"
ENV_CLOUDWATCH: Final = "CLOUDWATCH_DEPLOYMENT"  # set: CPU goes to CloudWatch, under this name
ENV_REGION: Final = "AWS_REGION"  # the SDKs' own variable

# -- environment of the balancer: STEELYARD_LISTEN overrides `listen`, and so on -----------------
ENV_PREFIX: Final = "STEELYARD_"

# -- load report on the wire ---------------------------------------------------------------------
# ORCA (Open Request Cost Aggregation) response header, text form, as Envoy and gRPC read it:
#   endpoint-load-metrics: TEXT cpu_utilization=0.3, rps_fractional=10, named_metrics.pending=4
LOAD_HEADER: Final = "endpoint-load-metrics"
LOAD_HEADER_FORM: Final = "TEXT"
METRIC_CPU: Final = "cpu_utilization"  # 0..1 of what the machine may use
METRIC_RPS: Final = "rps_fractional"  # requests a second, 1-minute mean
METRIC_PENDING: Final = "named_metrics.pending"  # requests in flight at the target
METRIC_LATENCY_MS: Final = "named_metrics.latency_ms"  # median near the present pending count
METRIC_STEAL: Final = "named_metrics.steal"  # 0..1 of CPU time taken by the hypervisor

# -- labels and tags -----------------------------------------------------------------------------
LABEL_CLUSTER: Final = "steelyard.cluster"  # Docker label of a worker container
TAG_CLUSTER: Final = "steelyard:cluster"  # EC2 tag of a worker instance
TAG_WEIGHT: Final = "steelyard:weight"  # on a worker instance: 1 to 1000, for policies by weight
TAG_PROJECT: Final = "steelyard:project"  # on everything that is ours
PROJECT: Final = "steelyard"  # its value
TAG_DEPLOYMENT: Final = "steelyard:deployment"  # `name` of deploy.yaml
TAG_RESOURCE: Final = "steelyard:resource"  # which part of the deployment it is
TAG_SPEC: Final = "steelyard:spec"  # digest of what it was made from; set when it is complete
TAG_BEGUN: Final = "steelyard:begun"  # the same from the start, where it must be known early
TAG_TEMPLATE: Final = "steelyard:template"  # on a machine: the spec digest of its launch template
TAG_ROLL: Final = "steelyard:roll"  # on a group while its machines are being replaced
IMAGE_WORKER: Final = "steelyard-worker"
IMAGE_BALANCER: Final = "steelyard-balancer"

# -- the end of a machine ------------------------------------------------------------------------
HOOK_TERMINATING: Final = "steelyard-drain"  # lifecycle hook of every group
HOOK_TIMEOUT_S: Final = 180  # without a heartbeat; a machine that is stuck goes after it
DRAIN_NOTICE_S: Final = 8  # until every balancer has seen /readyz fail: above interval x fall
DRAIN_FRONT_S: Final = 30  # until a load balancer in front sends a balancer no new connection
DRAIN_DEADLINE_S: Final = 120  # of a drain that the group waits for, notice included
DRAIN_SPOT_S: Final = 90  # of one before an interruption, which comes 120 s after its notice
DRAIN_STOP_S: Final = 40  # for the container after SIGTERM: above its own drain

# -- what CloudWatch is told, once a minute ------------------------------------------------------
# The publishers write exactly these, dashboard and alarms read exactly these.
CLOUDWATCH_NAMESPACE: Final = "Steelyard"
CLOUDWATCH_PERIOD_S: Final = 60
DIMENSION_DEPLOYMENT: Final = "Deployment"
DIMENSION_CLUSTER: Final = "Cluster"
DIMENSION_INSTANCE: Final = "InstanceId"
# by deployment and cluster; each balancer publishes its own share, so counts are summed
CLOUDWATCH_REQUESTS: Final = "Requests"  # count, of the period
CLOUDWATCH_ERRORS_4XX: Final = "Errors4xx"  # count
CLOUDWATCH_ERRORS_5XX: Final = "Errors5xx"  # count
CLOUDWATCH_LATENCY: Final = "Latency"  # milliseconds, as a distribution (Values and Counts)
CLOUDWATCH_HEALTHY: Final = "HealthyHosts"  # count, as this balancer sees them
CLOUDWATCH_PENDING: Final = "Pending"  # count, at this balancer, now
CLOUDWATCH_RETRIES: Final = "Retries"  # count
# by deployment, cluster and instance
CLOUDWATCH_CPU: Final = "CPU"  # percent of the machine, 0 to 100
CLOUDWATCH_STEAL: Final = "Steal"  # percent taken by the hypervisor, 0 to 100
