"""Writes measurements as JSON lines: a latency that rises and falls again."""

import json
import math

for step in range(80):
    latency = 60 + 500 * max(0.0, math.sin(step / 15))
    print(json.dumps({"name": "latency", "value": round(latency, 1), "source": "db"}))
