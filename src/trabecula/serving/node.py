"""``trabecula node``: run a DICOM node, look at what it holds, let a study out of quarantine."""

import getpass
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trabecula.errors import TrabeculaError, WrongUsage, defect, wrong_usage
from trabecula.serving.spoken import say, spoken

if TYPE_CHECKING:
    from trabecula.department.ledger import Ledger
    from trabecula.department.rules import Rules

NEEDED = ("pynetdicom", "sqlalchemy", "prometheus_client", "dicomweb_client")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(node)


def node(
    rules: Annotated[Path, typer.Option("--rules", help="TOML file: who may send, what is screened, where it goes.")],
    data: Annotated[
        Path, typer.Option("--data", help="Private folder, the same as that of 'trabecula serve' to see all there.")
    ] = Path("trabecula-data"),
    database: Annotated[
        str | None, typer.Option(envvar="TRABECULA_DATABASE", help="SQLAlchemy URL; SQLite in the folder if not given.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Read the rules, ask every source and destination, and end.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="List the studies and what waits, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The status for programs.")] = False,
    release: Annotated[
        int | None, typer.Option("--release", help="Screen a quarantined study as it is: its number in --status.")
    ] = None,
) -> None:
    """Listen as a DICOM node: screen what comes and answer into the archive."""
    if any(find_spec(needed) is None for needed in NEEDED):
        raise defect("department-missing")
    from trabecula.department.node import Place, run_node
    from trabecula.department.rules import read_rules

    read, place = read_rules(rules), Place(data.resolve(), database)
    if check:
        raise typer.Exit(ask_destinations(read))
    if status or as_json:
        print(status_json(_ledger(place.database)) if as_json else status_text(_ledger(place.database)))
    elif release is not None:
        _release(_ledger(place.database), release)
    else:
        run_node(read, place)


def ask_destinations(rules: "Rules") -> int:
    """Says of every source and destination whether it answers; 0 where all do."""
    from trabecula.department.deliver import answers, require_usable
    from trabecula.department.fetch import archive_of

    failed = _files_lacking(rules)
    counts = {"peers": len(rules.peer), "sources": len(rules.source), "rules": len(rules.rule)}
    print(say("node-rules", **counts, destinations=len(rules.destination)))
    for source in rules.source:
        try:
            archive_of(source).answers()
            print(f"  {source.name}: {say('node-answers')}")
        except WrongUsage:
            raise
        except TrabeculaError as error:
            failed += 1
            print(f"  {source.name}: {error.coded.told(spoken())}")
    for one in rules.destination:
        require_usable(one)
        said = answers(one, rules.node.title)
        failed += said != ""
        print(f"  {one.name}: {say('node-silent', code=said) if said else say('node-answers')}")
    return 1 if failed else 0


def _files_lacking(rules: "Rules") -> int:
    """Says where fewer files may be open than the associations need; 1 then."""
    from trabecula.department.transport import files_needed, open_files

    needed = files_needed(rules.node)
    allowed = open_files(needed)
    if allowed >= needed:
        return 0
    print(say("node-open-files", allowed=allowed, needed=needed, associations=rules.node.associations))
    return 1


def status_text(ledger: "Ledger") -> str:
    """The studies as a table for people, without an identifier."""
    from trabecula.serving.terminal import table

    columns = ("study", "sender", "state", "delivery", "result", "waiting", "code")
    rows = [[str("-" if one[name] is None else one[name]) for name in columns] for one in _status(ledger)]
    return table([say(f"node-head-{name}") for name in columns], rows) if rows else say("node-nothing")


def status_json(ledger: "Ledger") -> str:
    """The same for programs, with the sentences."""
    return json.dumps(_status(ledger), indent=1)


def _status(ledger: "Ledger") -> list[dict[str, Any]]:
    newest = {study.number: take for take, study in ledger.takes()}
    told = []
    for study in ledger.studies():
        take = newest.get(study.number)
        answers = [] if take is None else ledger.answers(take.id)
        waiting = [one for one in answers if not one.accepted]
        told.append(
            {
                "study": study.number,
                "sender": study.sender,
                "state": study.state,
                "delivery": None if take is None else take.number,
                "rule": None if take is None else take.rule,
                "result": None if take is None else take.state,
                "answers": len(answers),
                "waiting": len(waiting),
                "code": (take.code if take is not None else "") or next((one.code for one in waiting if one.code), ""),
                "message": "" if take is None else take.message,
            }
        )
    return told


def _release(ledger: "Ledger", number: int) -> None:
    if not ledger.release(number, getpass.getuser()):
        raise wrong_usage("not-quarantined", number=number)
    print(say("node-released", number=number))


def _ledger(database: str) -> "Ledger":
    from trabecula.department.ledger import Ledger
    from trabecula.studies.tables import open_database

    return Ledger(open_database(database))
