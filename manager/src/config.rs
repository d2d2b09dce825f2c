//! What the command line and the environment mean.
