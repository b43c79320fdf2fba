"""Where requests flow: accept -> route -> pick -> forward -> observe.

`process` runs one data-plane process and `plane` is what its connections share. Then, in the order
of a request: `client` is a client's connection and `accept` reads heads from it (`lines`, `http1`
and `chunked` are the grammar, `heads` remembers those that come again, `request_ids` names each
request), `route` finds the cluster, `key` what a policy may go by, `exchange` has a target picked
and joins the two sides (`forwarding` says who asks), `dial` opens a connection, `forward` is the
target's side and `pool` where it rests, `tunnel` joins the two when they leave HTTP, `failure` says
what follows when an attempt fails and `retry` whether it may be repeated, `observe` closes each
attempt once, `errors` says whose fault it was. `cut` ends a drain that lasts too long, `rules` puts
a configuration in force. `logged` keeps what a request's line of the `access_log` says. `probes`
asks targets that a policy wants to hear of. `deadlines` is the one timer, `origins` counts clients
by address. Nothing here knows AWS, Docker or FastAPI.
"""
