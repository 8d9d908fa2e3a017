"""Labels that arrive after their predictions.

    POST /v1/models/{name}/feedback   {"id": "1f0c…-0", "label": "yes", "time": "2026-11-21T10:00:00Z"}

or a list of such entries, or `{"feedback": [ … ]}`. `id` is the prediction's, as its answer named it: `{id}-{row}`; of
a request with one row `{id}` will do. `label` is what was true, `time` when that was known; without one it is now.
It is answered with 202 and `{"model": "churn", "accepted": 1}` when the labels are in the log. The same label may be
sent again, in any order, in any parts: for each prediction the one with the latest time counts.
"""

from tiltyard.predictions.feedback import read_feedback
from tiltyard.predictions.record import feedback_line
from tiltyard.serving.answers import Answer, to_json
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served

_ACCEPTED = 202


def accept(served: Served, request: Request, name: str) -> Answer:
    """Take the labels of a request; whoever sends the answer writes its record to the log before.

    Args:
        served: Slots, names and limits.
        request: Its body holds the labels.
        name: Model.

    Raises:
        RequestError: No such model, or too many labels.
        UsageError: Another form than feedback.
        DataError: An entry's id, label or time is not what it must be; names the entry.
    """
    contract = served.find(name).runtime.contract
    entries = read_feedback(request.body, contract, request.time, most=served.limits.rows)
    line = feedback_line(name, entries, contract, request.time)
    return Answer(_ACCEPTED, to_json({"model": name, "accepted": len(entries)}), record=line)
