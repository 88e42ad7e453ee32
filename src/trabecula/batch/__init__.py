"""A cohort of any size, screened by many processes: a row a study, and a page that sums them up."""
