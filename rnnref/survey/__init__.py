"""Surveys of engines against the specification: grids of options, and why each departs; an atlas of all engines."""
from .atlas import Atlas, survey_engines
from .frameworks import reproduce, survey_framework
from .grid import GridSurvey
from .survey import Survey, survey

__all__ = ["Atlas", "GridSurvey", "Survey", "reproduce", "survey", "survey_engines", "survey_framework"]
