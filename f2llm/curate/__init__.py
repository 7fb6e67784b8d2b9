"""Curation of one source: splits, exact and near copies, decontamination, positives, sampling."""
