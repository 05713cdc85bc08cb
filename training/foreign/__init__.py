"""Foreign ONNX files brought under the contract: ``sightline models import``. No PyTorch here."""
