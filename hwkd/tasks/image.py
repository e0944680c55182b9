"""The name under which the first releases had the classification of images; programs import it."""

from hwkd.tasks.classification import ClassifyTask

ImageTask = ClassifyTask
