"""Make question.wav with the embedded model's own voice: a user for `realtime-agent call` where there is no recording.

python examples/make_question.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hibari import Hibari

from realtime_agent.audio.wav import write_wav

QUESTION = "What is twelve plus thirty five?"


def main() -> None:
    """Write the file beside this one."""
    samples = np.asarray(Hibari()(QUESTION, seed=0), np.float32)
    pcm = (np.clip(samples * 2, -1, 1) * 32767).astype("<i2").tobytes()
    write_wav(Path(__file__).with_name("question.wav"), pcm)


if __name__ == "__main__":
    main()
