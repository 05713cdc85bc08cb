"""Networks that label every pixel: FCN and SegNet."""
