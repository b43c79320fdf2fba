"""Differential fuzzing: does anybody frame a message otherwise than we do?

generate      seeded inputs: grown from the grammar, or cases of the conformance corpus, mutated
inside        the data plane's own connections, with its sockets taken away
readers       the same bytes as h11 and llhttp (httptools) read them
differences   the closed list of what they are known to refuse, and we serve
differential  `python -m tests.fuzz.differential`: compares, counts, stops at the first finding
"""
