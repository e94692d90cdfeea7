"""edgedeploy: trained model in, verified and measured release on an ARM Linux board out."""

__version__ = "0.1.0"
