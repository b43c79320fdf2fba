"""A cloud on this machine: moto answers the API, containers are its instances.

world       what everything here shares: clock, machines, notices, the lock
image       the image of all its containers (image/Dockerfile): init, cloud-init, Docker
containers  machines on a Docker engine, and the network they are on
instances   EC2 instances are born as machines and end with them
imds        the metadata service; `metadata` is what it tells one instance
groups      Auto Scaling groups move: `members`, `health`; `group_calls` is what may be asked
metrics     CPU of instances and groups; `scaling` tracks it, `schedule` sets sizes in time
targets     the health of load balancers' targets, by real checks
fronts      load balancers that answer, by a stand-in proxy; `front_config` is what it is told
alarms      metric alarms that watch and tell SNS; `metric_data` reads metrics as CloudWatch does
spot        EC2 takes instances back; `doors` let a user ask for that
addresses   Elastic addresses that answer
registry    a real registry in ECR's place; `ecr` tells what is in it
commands    SSM: scripts on machines; `console`: what a machine wrote to its console
gaps        where moto forgets what it was told
steps       what moves by itself
serve       the process that holds all this
attach      how a command finds that process, or starts it
"""
