"""Cohorts: scans and what is known of them, from a simulated folder, a site's table, or drawn when they are needed."""
