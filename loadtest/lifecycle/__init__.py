"""How long a deployment's life takes, and what its clients notice: `python -m loadtest.lifecycle`.

The commands of a user, one after the other, on the local cloud: plan, up, a balancer that is
replaced and a roll of every worker while clients keep on asking, down. In the order of the files:

- ``clients``   steady clients: what each request came to, and the longest time without an answer
- ``story``     the commands in their order, timed
- ``report``    the table, for the terminal and for docs/local-cloud.md
"""
