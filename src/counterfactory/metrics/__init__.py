"""Metrics: functions that score answers, one file a metric (:mod:`counterfactory.metrics.run` drives them)."""
