"""Folders and rows that a kill left apart are brought together at the start, and it is told."""

import logging

from trabecula.studies.folders import Folders
from trabecula.studies.store import Store

LOG = logging.getLogger(__name__)


def settle_folders(folders: Folders, store: Store) -> None:
    """Removes the files of uploads that did not reach the queue, which nobody was told of as kept, and of studies that
    were just being removed. A folder of which neither is known stays: the database may be an older copy.
    """
    for name in folders.on_their_way():
        study = store.study(name)
        if study is not None and study.ct_removed_utc:
            continue  # the next retention run ends it, as it knows who else keeps the CT
        with folders.settling(name):
            if study is None and folders.study(name).exists():
                folders.remove(name)
                LOG.warning("the files of study %s were removed: it was ended on its way in or out", name)
    for name in folders.strangers(store.ids()):
        LOG.warning("the folder studies/%s belongs to no study of the database; it is left as it is", name)
