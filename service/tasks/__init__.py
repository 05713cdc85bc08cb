"""One module a task, each with the shape of ``service.task.Task``."""

from collections.abc import Mapping

from service.task import Task
from service.tasks import caption, classify, detect, segment, stylize

TASKS: Mapping[str, Task] = {
    task.NAME: task for task in (classify, detect, segment, caption, stylize)
}
