"""How a Python suite reports: `with check("..."):` prints ok, or FAIL with what went wrong; `finish()` ends the suite."""
import contextlib
import os
import socket
import sys
import traceback

BOOTSTRAP = os.environ["BOOTSTRAP"]
SERVER = os.environ["SERVER"]


class Skip(Exception):
    """Raised inside a check that does not apply here; its text says why."""


@contextlib.contextmanager
def check(name):
    try:
        yield
    except Skip as why:
        print(f"skip {name}: {why}", flush=True)
    except Exception as error:
        at = traceback.extract_tb(sys.exc_info()[2])
        places = " ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in at[1:4])
        text = f"{type(error).__name__}: {error}".replace("\n", " / ")
        print(f"FAIL {name}: {text[:600]} ({places})", flush=True)
    else:
        print(f"ok {name}", flush=True)


def equal(found, expected, what=""):
    if found != expected:
        raise AssertionError(f"{what or 'value'} is {short(found)}, expected {short(expected)}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def short(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + f"... ({len(text)} characters)"


def control(command):
    """Have the runner stop, kill or start the server; comes back when that is done."""
    with socket.create_connection(("127.0.0.1", int(os.environ["CONTROL_PORT"])), 120) as connection:
        connection.sendall(f"{command}\n".encode())
        answer = connection.makefile().readline().strip()
    if answer != "done":
        raise RuntimeError(f"{command}: {answer}")


def finish():
    print("finished", flush=True)
