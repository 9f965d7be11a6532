"""A small renderer for signed-distance scenes: shapes, light, finish. numpy and Pillow only."""
