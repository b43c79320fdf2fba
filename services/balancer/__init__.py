"""The load balancer: the life of a request, in the order of the rooms.

    accept    a data-plane process takes a client's connection and reads a request head
    route     host, path and headers choose a cluster, or an answer of our own
    pick      the cluster's policy chooses one eligible target and claims a place on it
    forward   the request goes out on a pooled connection; bytes stream both ways
    observe   when the body has ended, one handle releases the claim and records what was

What a pick stands on: a `cluster` keeps `target`s on `roster`s (eligible, or in a panic all), with
the `load` of each; `ejection` takes out who fails, `ramp` spares who is new, `room` has those wait
who find all full, `budget` bounds what is asked twice.

`subset` is the part of a cluster's targets that one of several balancers uses.

Around it: `supervisor` starts `dataplane` processes (all of the above) and one `control` process
(`settings` are checked before; `fleet` says which targets exist and are healthy, `peers` what other
balancers have pending there, `admin` shows it).
`in_force` is the configuration that holds now, `columns` keeps each cluster's counts in their place
through a reload, `upgrade` lets another supervisor take over while
requests flow.
"""
