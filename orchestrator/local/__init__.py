"""The fleet as plain processes on loopback: no Docker, no AWS, nothing left behind.

The story, in the order of the files:

`ports`      which ports are free: the usual ones, or others
`plan`       the fleet as frozen data: programs, addresses, the balancer's configuration
`tether`     the few lines between fork and exec that make a program end with its parent
`running`    one started program and its log
`fleet`      all of them: start -> wait until healthy -> stop
`bring_up`   from nothing to a healthy fleet, with the user looking on (`progress`)
`demo`       `steelyard demo`: up, measure, report, down
`serve`      `steelyard local`: up, and kept up until Ctrl-C

and around them `interrupt` (what Ctrl-C means) and `guard` (nothing outlives the command, even if
it is killed with -9).
"""
