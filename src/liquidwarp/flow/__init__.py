"""(b) Flow Composition: where each target pixel comes from in each source."""
