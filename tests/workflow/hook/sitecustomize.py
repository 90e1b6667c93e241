"""Passes the steps of a workflow on to the process of :mod:`tests.workflow.forked`; other programs run as usual.

Python imports this module at its start if its folder is in `PYTHONPATH`.
"""

import os
import sys

ADDRESS = os.environ.get("FORKED_STEPS")
if ADDRESS and sys.orig_argv[1:3] == ["-m", "counterfactory"]:
    import json
    import socket

    call = {"words": sys.orig_argv[3:], "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(ADDRESS)
        socket.send_fds(connection, [json.dumps(call).encode() + b"\n"], [0, 1, 2])
        status = connection.recv(1)
    os._exit(status[0] if status else 1)
