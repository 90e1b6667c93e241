"""The explorer: one page that answers questions in the browser and shows every answer of a run."""
