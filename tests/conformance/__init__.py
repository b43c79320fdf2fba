"""What RFC 9110 and RFC 9112 ask of a reverse proxy, as tables, and the data plane put to them.

cases            what a line of a table is
request_heads    request lines and fields: passed on, or refused
request_bodies   framing of requests: lengths, codings, chunks, trailers
sequences        several messages on a connection, halves that close, answers that come early
responses        a target's answers: passed on, turned into 502, or cut
test_requests, test_responses   each line, over real sockets, through a real plane

Every line names its section ("9112 5.1"). The tables are data: the fuzzer mutates them, too.
"""
