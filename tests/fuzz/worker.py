"""`python -m tests.fuzz.worker TARGET …`: one target under atheris; the rest of the arguments are libFuzzer's."""

import sys

import atheris

with atheris.instrument_imports(include=["agents", "jwt", "processors", "schemas", "streams", "tables", "web", "yarl"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer has enough; it ends the process itself."""
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
