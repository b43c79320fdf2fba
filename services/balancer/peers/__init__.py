"""Balancers that share targets tell each other what they have pending there.

datagram    what is told, as bytes: keys of targets with counts
news        what this balancer has to tell: what changed, and once a second all
tally       what the others told -> sums by slot; who says nothing counts for nothing
pace        how often to tell: as often as a small part of a core allows
wire        the UDP socket: what does not go out at once is lost
teller      the loop: hears what comes, tells in rounds
attend      who the others are; follows the configuration

The counts are absolute and are told again and again, so that a datagram that is lost, doubled or
late does no harm for long, and nobody has to answer (HAProxy's peers and nginx's zone_sync keep
connections and teach each other; what lives for milliseconds is not worth that). The control plane
does all of it; data planes read the sums in shared memory.
"""
