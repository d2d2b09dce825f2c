"""A small app that listens on 127.0.0.1 only: whoever wants it must come through the proxy beside it."""

import time

from flask import Flask, jsonify

app = Flask(__name__)
state = {"answers": 0, "broken": False}


@app.get("/")
def index():
    """Say hello, or fail, as told."""
    if state["broken"]:
        return jsonify(error="broken on purpose"), 500
    state["answers"] += 1
    return jsonify(hello="from a pod", answer=state["answers"], at=time.time())


@app.get("/seed")
def seed():
    """What the init component left on the shared volume."""
    with open("/data/seed", encoding="utf-8") as file:
        return jsonify(seed=file.read().strip())


@app.post("/break")
def break_it():
    """Fail from now on."""
    state["broken"] = True
    return jsonify(broken=True)


@app.get("/health")
def health():
    """For the health check: the app serves, whatever it answers."""
    return "ok"


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=5000)
