//! Gives up what is not needed.
