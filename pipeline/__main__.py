"""``python -m pipeline`` is the same program as the ``storyboard`` script."""

from pipeline.cli import entry

if __name__ == "__main__":
    entry()
