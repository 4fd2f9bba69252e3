"""One module per way in: each makes one call and says what came back."""
