"""The engine's built-in layer types.

Source: ``ncnn_add_layer`` lines in src/CMakeLists.txt of the engine, version 1.0.20261020, without those that are off
by default (ArgMax, SPP). A test holds the list against the installed binding.
"""

from __future__ import annotations

ENGINE_VERSION = "1.0.20261020"

_NAMES = """
    AbsVal BNLL BatchNorm Bias BinaryOp CELU Cast Clip Concat Convolution Convolution1D Convolution3D
    ConvolutionDepthWise ConvolutionDepthWise1D ConvolutionDepthWise3D CopyTo Crop CumulativeSum Deconvolution
    Deconvolution1D Deconvolution3D DeconvolutionDepthWise DeconvolutionDepthWise1D DeconvolutionDepthWise3D
    DeepCopy DeformableConv2D Dequantize DetectionOutput Diag Dropout ELU Einsum Eltwise Embed Erf Exp ExpandDims
    Flatten Flip Fold GELU GLU GRU Gemm GridSample GroupNorm HardSigmoid HardSwish InnerProduct Input InstanceNorm
    Interp InverseSpectrogram LRN LSTM LayerNorm Log MVN MatMul MemoryData Mish MultiHeadAttention Noop Normalize
    PReLU PSROIPooling Packing Padding Permute PixelShuffle Pooling Pooling1D Pooling3D Power PriorBox Proposal
    Quantize RMSNorm RNN ROIAlign ROIPooling ReLU Reduction Reorg Requantize Reshape RotaryEmbed SDPA SELU Scale
    Shrink ShuffleChannel Sigmoid Slice Softmax Softplus Spectrogram Split Squeeze StatisticsPooling Swish TanH
    Threshold Tile UnaryOp Unfold YoloDetectionOutput Yolov3DetectionOutput
"""

LAYER_TYPES = frozenset(_NAMES.split())


def known_layer_types() -> frozenset[str]:
    """Return every layer type a network may have without registering custom layers.

    Example:
        >>> "Convolution" in known_layer_types(), "Conv" in known_layer_types()
        (True, False)
    """
    return LAYER_TYPES
