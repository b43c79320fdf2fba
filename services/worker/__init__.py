"""The worker: a small FastAPI service that answers with who it is, and knows how loaded it is.

The story, in the order of the files:

`settings`      every environment variable, typed and checked, all mistakes at once
`identity`      who am I: environment, then IMDSv2, then hostname
`latency`       what a request takes, by the pending count that it met (Prequal's estimate); pure
`cpu`           CPU used and stolen: modelled machine, else the container's cgroup, else /proc/stat
`load_report`   pending, latency at pending, CPU, steal: the answer to a probe and the ORCA header
`cloudwatch`    CPU and steal of each minute, told to CloudWatch where that is asked for
`machine`       a modelled machine: processor sharing and CPU credits in virtual time; pure
`work`          what a request costs: nothing, real CPU in threads, or a job on the modelled machine
`stress`        CPU burnt on demand by processes of its own (`burn` is such a process)
`faults`        slow, failing or hanging on purpose, for experiments; off by default
`service`       one worker's state, and its answers as plain bytes
`app`           the FastAPI routes over it
`shortcut`      requests that leave nothing to parse, answered before FastAPI sees them
`limits`        bodies over the limit are refused as they arrive
`observe`       one handle per request: pending, latency, load report header, log line
`connection`    the HTTP/1.1 connection: bounds on head size and head time
`drain`         SIGTERM, notice, stop accepting, finish, exit
`log`           JSON lines to standard output, never in the way of a request
`__main__`      wiring: `python -m services.worker --host 127.0.0.1 --port 9101`

`python -m services.worker --help` prints the table of environment variables.
"""
