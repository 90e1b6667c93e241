"""Metrics: functions that score answers, one module per metric, called by :mod:`counterfactory.metrics.run`."""
