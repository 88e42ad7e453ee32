"""An assessment as others take it: DICOM objects for an archive, FHIR for a record system. ``bundle`` is the door."""
