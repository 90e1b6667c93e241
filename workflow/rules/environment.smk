"""The environment of all steps, and a first check of the configuration files."""

import os
import sys
from pathlib import Path

# Relative to this file, since the workflow can be a module of another workflow. A downloaded module has no such
# folder and requires the installed package.
PACKAGE = Path(workflow.current_basedir.get_path_or_uri(secret_free=False)).parents[1] / "src"
if PACKAGE.is_dir():
    sys.path.insert(0, str(PACKAGE))
    os.environ.update(
        # An empty part would stand for the working folder.
        PYTHONPATH=os.pathsep.join(
            filter(None, [str(PACKAGE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        )
    )
os.environ.update(
    # Nothing is imported from the working folder: a `random.py` there would be run by every step.
    PYTHONSAFEPATH="1",
    # Steps run with the Python of this process, unless a software environment is deployed.
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    # Without bytecode files, every step would compile all modules that it imports: seconds of CPU time each.
    PYTHONDONTWRITEBYTECODE="",
)

from counterfactory.config import read_file
from counterfactory.core.errors import UserError
from counterfactory.core.user import name_user

name_user()

# Snakemake reads these files too, but drops the first of two equal keys silently.
if workflow.is_main_process and not workflow.modifier.skip_configfile:
    try:
        for file in filter(os.path.isfile, [*workflow.configfiles, "config.yaml"]):
            read_file(file)
    except UserError as error:
        # The message is complete; a traceback of the workflow would hide it.
        sys.exit(f"config: {error}")
