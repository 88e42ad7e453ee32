"""Writes src/trabecula/serving/shipped.json, what ``trabecula check`` holds a machine against. For new weights."""

from trabecula.serving.self_test import write_shipped

if __name__ == "__main__":
    write_shipped()
