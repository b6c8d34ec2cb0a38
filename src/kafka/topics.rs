//! Topics: what there should be, what there is, and what to do about the difference.
