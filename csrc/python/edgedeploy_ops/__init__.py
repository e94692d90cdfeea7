"""The handwritten operators from Python, on the host and on the board.

Example:
    >>> import numpy as np, edgedeploy_ops
    >>> image = np.zeros((4, 6, 3), np.uint8)
    >>> edgedeploy_ops.preprocess(image, 3, 2, "rgb", (0, 0, 0), (1, 1, 1)).shape
    (3, 2, 3)
"""

from edgedeploy_ops._native import OpsError, conv_s8, cpu_features, depthwise_s8, gemm, kernels, preprocess

__all__ = ["OpsError", "conv_s8", "cpu_features", "depthwise_s8", "gemm", "kernels", "preprocess"]
