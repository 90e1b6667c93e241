"""The report: tables, figures and one page that a person can read from top to bottom.

Reads scores, costs, logs and answers; computes nothing that a score should have computed.
"""
