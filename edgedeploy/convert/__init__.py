"""Model files to ncnn networks: precheck, rewrite, pnnx, gates, comparison with the original."""
