"""The rules: pure functions from what was seen and judged to codes that hold.

Each module knows one part of a connection and answers with ``Claim``s; none knows the order of precedence, the words,
or what another module found.
"""
