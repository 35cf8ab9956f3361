"""What is done with pixels: measured, smoothed, drawn."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def sharpness(raw, reader):
    """The deviation of the Laplacian, in levels of grey, 0 for one colour."""
    grey = np.asarray(reader.decode(raw).convert("L"), np.float32)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return round(float(np.std(around - 4 * grey[1:-1, 1:-1])), 1) if grey[1:-1, 1:-1].size else 0.0


def denoise(image):
    return image.filter(ImageFilter.MedianFilter(3))


def drawn(text):
    image = Image.new("RGB", (224, 224), "white")
    ImageDraw.Draw(image).multiline_text((8, 8), text.replace(" ", "\n"), fill="black")
    return image
