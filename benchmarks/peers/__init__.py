"""What others would write: the same fp32 file behind the usual servers."""
