"""The loader under the name that earlier scripts import it by.

`from test_rig.python_bindings import register_python_handler`
"""

from test_rig.machine import load_python_handlers, register_python_handler

__all__ = ["load_python_handlers", "register_python_handler"]
