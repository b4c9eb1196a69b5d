"""(a) Body Mesh Recovery: photos and video to a parametric body."""
