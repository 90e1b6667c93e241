"""The report: tables, figures and one page that a person can read from top to bottom.

Reads marks, costs, logs and answers; computes nothing that a mark should have computed.
"""
