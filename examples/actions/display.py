"""A script for the driver `python`: counts what it is shown, and keeps the count over edits."""

shown = 0
worst = 0.0


def initialize():
    print("ready")


def on_measurement(data):
    global shown, worst
    shown += 1
    worst = max(worst, data["value"])
    return {"shown": shown, "worst": worst}


def on_alert(alert):
    print(f"{alert['severity']}: {alert['message']}")


def get_status():
    return {"shown": shown, "worst": worst}


def get_state():
    return [shown, worst]


def set_state(state):
    global shown, worst
    shown, worst = state


def shutdown():
    print(f"{shown} measurements, the greatest {worst}")
