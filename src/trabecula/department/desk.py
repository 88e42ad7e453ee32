"""What goes on between receiving and answering: studies that are whole go to the queue, results to their answers."""

import json
import threading
import time
import uuid
from functools import partial

from trabecula.department.commitment import Commitments
from trabecula.department.deliver import names_in
from trabecula.department.facts import SeriesFacts, facts_of, followed, never_screened
from trabecula.department.intake import Intake
from trabecula.department.ledger import Ledger, Planned, Received, Take
from trabecula.department.logs import tell, warn
from trabecula.department.rules import OBJECTS, Rules
from trabecula.department.spool import Spool, digest_of, link_all
from trabecula.errors import place_of
from trabecula.messages import Phrase
from trabecula.studies.folders import Folders
from trabecula.studies.listing import ENDED
from trabecula.studies.store import OF_NODE, Store, Upload
from trabecula.studies.tables import Study

LOOK_EVERY_SECONDS = 0.5
CLEAR_EVERY_SECONDS = 10.0
GIVEN = "given"
FILE_OF = {"seg": "seg.dcm", "sr": "sr.dcm", "pdf": "report.dcm", "capture": "capture.dcm"}
LOOK_IN_PAGE = "Look at the study in the web page, or at its result folder."


class Desk:
    """Looks around every half second; each step can be killed and is then taken again."""

    def __init__(
        self, rules: Rules, spool: Spool, ledger: Ledger, store: Store, folders: Folders, intake: Intake
    ) -> None:
        self.rules, self.spool, self.ledger, self.store, self.folders = rules, spool, ledger, store, folders
        self.arrivals = intake.arrivals
        self.commitments: Commitments = intake.commitments
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, name="desk", daemon=True)
        self.works = True  # whether the last round went through
        self._cleared = 0.0
        self._announced: dict[str, tuple[int, int]] = {}

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.ending.set()
        self.thread.join(timeout=30)

    def _run(self) -> None:
        while not self.ending.wait(LOOK_EVERY_SECONDS):
            failed = False
            for step in (
                self.take_whole,
                self.queue_planned,
                self.answer_results,
                self.clear_removed,
                self.commitments.tell_all,
            ):
                try:
                    step()
                except Exception as error:  # a full disk, say: told, and tried again
                    failed = True
                    warn("step-failed", code=type(error).__name__, place=place_of(error.__traceback__))
                    self.ending.wait(self.rules.retry.first_seconds)
            self.works = not failed

    # Studies that are whole

    def take_whole(self) -> None:
        """Every study that has been quiet long enough, or of which all is here."""
        for study in self.ledger.studies("receiving"):
            if self.arrivals.coming(study.key):
                continue
            if self.arrivals.quiet(study) or study.released_by or self._all_here(study):
                self._take(study)

    def _all_here(self, study: Received) -> bool:
        """Whether as many instances are here as a header announces; asked of one header when more have come."""
        files = self.spool.files(study.key)
        if not files:
            return False
        here, announced = self._announced.get(study.key, (0, 0))
        if len(files) != here:
            facts = facts_of(files[:1])
            announced = (facts[0].announced or 0) if facts else 0
            self._announced[study.key] = len(files), announced
        return 0 < announced <= len(files)

    def _take(self, study: Received) -> None:
        self.ledger.take(study.key)
        self.arrivals.forget(study.key)
        files = self.spool.files(study.key)
        self._announced.pop(study.key, None)
        if not files:
            self.ledger.whole(study.key)
            return
        series = facts_of(files)
        code = never_screened(self.rules.never, study.sender, series)
        found = None if code else followed(self.rules, study.sender, series)
        if found is None:
            self._leave_out(study, digest_of(files), code or "no-rule-fits", series)
            return
        names = [path.name for path in found.files]
        rule = found.rule
        planned = Planned(
            digest_of(found.files), uuid.uuid4().hex, rule.name, rule.recipe, rule.destinations, rule.answer, names
        )
        if self.ledger.plan(study, planned):
            tell("study-taken", study=study.number, rule=rule.name, instances=len(names))
        else:
            tell("study-unchanged", study=study.number)

    def _leave_out(self, study: Received, digest: str, code: str, series: list[SeriesFacts]) -> None:
        if self.ledger.leave_out(study, digest, code, Phrase(f"node-{code}").told()):
            tell("study-left-out", study=study.number, code=code, series=len(series))

    # Studies that are to be screened

    def queue_planned(self) -> None:
        """Files into the study's folder, then its place in the queue; each only where it is not there yet."""
        for take, study in self.ledger.takes("planned"):
            if self.store.study(take.store_id) is None:
                folder = self.folders.study(take.store_id)
                link_all([self.spool.folder / study.key / name for name in json.loads(take.files)], folder / GIVEN)
                label = f"Node {study.number}" + (f", delivery {take.number}" if take.number > 1 else "")
                upload = Upload(
                    id=take.store_id,
                    given=GIVEN,
                    label=label,
                    by=f"{OF_NODE}{study.sender}",
                    deidentify=False,
                    language=self.rules.node.language,
                    recipe=take.recipe,
                )
                self.store.enqueue(upload)
            self.ledger.queued(take.id)

    # Results that are to be answered

    def answer_results(self) -> None:
        """Every study that the worker is done with."""
        takes = self.ledger.takes("queued")
        known = self.store.found([take.store_id for take, _ in takes])  # at once: a hundred may wait, twice a second
        for take, study in takes:
            screened = known.get(take.store_id)
            if screened is None:
                self.ledger.unanswered(take.id, "study-removed", "Somebody removed the study before it was screened.")
            elif screened.state == "done":
                self._answer(take, study, screened)
            elif screened.state in ENDED:
                code = screened.code or screened.state
                self.ledger.unanswered(take.id, code, screened.message)
                warn("study-unanswered", study=study.number, code=code)

    def _answer(self, take: Take, study: Received, screened: Study) -> None:
        code, message = self._held_back(screened)
        files = [] if code else self._objects(take)
        if not files and not code:
            notes = self._notes(screened)
            code, message = "no-objects", f"{' '.join(notes) or 'No DICOM objects could be made.'} {LOOK_IN_PAGE}"
        if code:
            self.ledger.unanswered(take.id, code, message)
            warn("study-unanswered", study=study.number, code=code)
            return
        self.ledger.answer(take, files)
        tell("study-answered", study=study.number, delivery=take.number, objects=len(files))

    def _objects(self, take: Take) -> list[str]:
        """The objects that were made and are wanted, in the order in which they refer to one another."""
        made, wanted = names_in(self.folders.version(take.store_id, 1)), json.loads(take.objects)
        return [FILE_OF[one] for one in OBJECTS if one in wanted and FILE_OF[one] in made]

    def _notes(self, screened: Study) -> list[str]:
        version = self.store.version(screened.id, 1)
        return [] if version is None else list(json.loads(version.notes))

    def _held_back(self, screened: Study) -> tuple[str, str]:
        """Why a result is not answered, by the rules; empty where it is."""
        never = self.rules.never
        if never.undetermined and screened.category == "undetermined":
            return "never-undetermined", Phrase("node-never-undetermined").told()
        for code in never.reasons:
            if f" {code} " in screened.doubts:
                return "never-reason", Phrase("node-never-reason", {"code": code}).told()
        return "", ""

    # Studies that somebody removed

    def clear_removed(self) -> None:
        """The node's copy of a CT goes with the study that it became, unless another delivery of it is still there."""
        if time.monotonic() - self._cleared < CLEAR_EVERY_SECONDS:
            return
        for take, study in self.ledger.removed_studies():
            if not self.ledger.kept_otherwise(take):
                again = partial(self._comes_again, study)
                if not self.spool.forget_unless(study.key, again):
                    continue
            self.ledger.removed(take)
            tell("study-removed", study=study.number, delivery=take.number)
        self._cleared = time.monotonic()

    def _comes_again(self, study: Received) -> bool:
        return self.arrivals.coming(study.key) or not self.ledger.unchanged(study)
