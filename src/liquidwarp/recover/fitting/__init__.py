"""The fit of the body: landmarks, outlines, colours, fingers, smoothing."""
