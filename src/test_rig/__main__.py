"""`python -m test_rig` is `test-rig`."""

from test_rig.cli import main

if __name__ == "__main__":
    main()
