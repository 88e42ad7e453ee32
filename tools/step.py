"""Writes the next step of the database's tables: what they lack of what ``tables.py`` and ``ledger.py`` say.

python tools/step.py "what changes, as a sentence without its full stop". Read what it wrote before committing it: a
name that changed looks like one column gone and another one come.
"""

import re
import sys
import tempfile
from pathlib import Path

from alembic import command

from trabecula.department.ledger import NodeBase
from trabecula.studies.migrating import changing, config_for, newest
from trabecula.studies.tables import Base, open_database


def main(what: str) -> None:
    """A file in ``migrations/versions``, made by comparing an empty database's tables with those of the source."""
    number = f"{int(newest()) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'empty.sqlite'}")
        with changing(engine) as connection:
            config = config_for(connection, Base.metadata, NodeBase.metadata)
            words = re.sub(r"\W+", "_", what.lower())[:40].strip("_")
            config.set_main_option("file_template", f"r{number}_{words}")
            command.revision(config, what, autogenerate=True, rev_id=number)
        engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
