"""The report: one page that explains a run to the people who have to act on it."""
