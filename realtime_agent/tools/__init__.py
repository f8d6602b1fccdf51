"""Functions that the model may call: written in Python, found in the module that AGENT_TOOLS names.

    @tool
    def weather(city: Annotated[str, Field(description="a city's English name")], days: int = 1) -> str:
        "The weather of the coming days."

Whatever goes wrong in a call, the model gets a text that it can read and act upon.
"""

from __future__ import annotations

from realtime_agent.tools.function import Tool, tool
from realtime_agent.tools.toolbox import Toolbox

__all__ = ["Tool", "Toolbox", "tool"]
