"""The manifests in `k8s/`: what they say is checked without a cluster, and their secrets are made.

`python -m sigmax_local.manifests check` and `python -m sigmax_local.manifests secrets k8s/overlays/paper/secrets`.
"""
