"""Models at OpenAI-compatible endpoints: a Server without a device, by the `openai` library with its retries off.

A request's frames are encoded once for its clip (`media`), put into the content of a message as the endpoint's entry
says (`content`), and sent with the settings that its server takes (`body`) to one of its addresses (`addresses`). What
comes back is an answer (`answers`), or a failure of a kind that somebody can mend (`failures`).
"""

from videval.models.openai_api.loading import load

__all__ = ["load"]
