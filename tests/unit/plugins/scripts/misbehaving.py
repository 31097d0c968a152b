"""A script that does everything wrong, one function for each way."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

calls = 0
kept = []


def good(value=None):
    """Count the calls of this process."""
    global calls
    calls += 1
    return {"value": value, "calls": calls}


def endless_loop():
    while True:
        pass


def hang_in_c():
    ctypes.PyDLL(None).sleep(100)


def swallow_everything():
    while True:
        try:
            time.sleep(100)
        except BaseException:
            pass


def block_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
    ctypes.CDLL(None).sleep(100)
    swallow_everything()


def ignore_signals():
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    endless_loop()


def raise_error():
    raise ValueError("no such thing")


def leave():
    sys.exit(3)


def leave_hard():
    os._exit(4)


def abort():
    os.abort()


def segfault():
    ctypes.string_at(0)


def recurse():
    return recurse()


def leak():
    while True:
        kept.append(bytearray(1 << 20))


def want_much():
    return bytearray(8 << 30)


def close_descriptors():
    os.closerange(3, 256)


def print_much():
    for _ in range(100_000):
        print("x" * 60)


def leave_threads():
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(1000,)).start()


def fork_bomb():
    while True:
        os.fork()


def leave_child():
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print("child", child.pid, flush=True)
    return child.pid


def leave_child_and_die(path):
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with open(path, "w") as file:
        file.write(str(child.pid))
    os._exit(1)


def parent():
    return os.getppid()


def kill_parent():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)


def return_much():
    return "x" * (64 << 20)


def return_odd():
    return {"nan": float("nan"), "set": {1}, "path": os}


def environment():
    return dict(os.environ)


def version():
    return list(sys.version_info[:2])
