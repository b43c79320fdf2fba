"""CloudWatch, both ways: what this balancer publishes, and the CPU that it reads.

Only the control plane comes here, so no request ever waits for it. boto3 is imported when a
configuration asks for CloudWatch, and not before.

distribution  a latency histogram as the values and counts that CloudWatch takes; pure
tally         the ledger's totals -> what was new in a minute, by cluster
outbox        minutes that wait to be published: bounded, no count lost
data          a minute as metric data, in the words of `services/contract.py`
api           boto3: put and get, errors in our words
call          a blocking call in a thread that nobody has to wait for
publish       the minute's round: sample, cut, send
read          CPUUtilization of the targets' machines, for the policy `lowest_cpu`
follow        runs both as the configuration says
"""

from services.balancer.cloudwatch.follow import Following

__all__ = ["Following"]
