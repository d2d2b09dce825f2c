"""A small app that listens on 127.0.0.1 only: whoever wants it must come through the proxy beside it."""

import time

from flask import Flask, jsonify

app = Flask(__name__)
state = {"answers": 0, "failing": False}


@app.get("/")
def index():
    """Say hello, or fail, as told."""
    if state["failing"]:
        return jsonify(error="failing, as told"), 500
    state["answers"] += 1
    with open("/data/seed", encoding="utf-8") as file:
        seed = file.read().strip()
    return jsonify(hello="from a pod", answer=state["answers"], at=time.strftime("%H:%M:%S"), data=seed)


@app.post("/fail")
def fail():
    """Fail from now on."""
    state["failing"] = True
    return jsonify(failing=True)


@app.post("/recover")
def recover():
    """Answer again."""
    state["failing"] = False
    return jsonify(failing=False)


@app.get("/health")
def health():
    """For the health check: the app serves, whatever it answers."""
    return "ok"


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=5000)
