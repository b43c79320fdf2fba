"""A deployment on AWS: described, planned, built, taken down. In the order of its life:

load, settings, problems, machines   `deploy.yaml` as frozen data, or every mistake in it
facts            what the account has that it stands on, and checks of what would fail later
boot, host, permissions, desired     everything that should exist, as specs. Pure
resource, resources                  one kind of thing each: find, create, complete, delete
plan             what there is against what should be: steps
journal          what was begun and what was finished
provision        takes the steps
remote, on_host, balancers, members, boots   what runs, asked through SSM and the API
fronts, ready    the ways in; the end of `up`: everything serves through each of them
drain, scale     changes to what runs, without a lost request
gate, roll_note, replace, rolled_workers, rolled_balancers, roll     a new version of it
logs, status     what it wrote, what it is
fronts, machine_cpu, bench       load on every front, and what it did to the machines
down, kill       take everything away, and prove it
show             plan and status on the terminal
commands         what the user types
"""
