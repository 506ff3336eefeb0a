"""Camera geometry in NumPy: pinhole model, distortion and rectification."""
