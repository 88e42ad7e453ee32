"""Archives that studies are taken from: a PACS by C-FIND and C-MOVE, or DICOMweb by QIDO-RS and WADO-RS.

The cohort asks them for what a file names, the node for what is new.
"""
