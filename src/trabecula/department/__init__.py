"""A DICOM node: studies come in, are screened by the queue of ``studies``, and answered where people work."""
