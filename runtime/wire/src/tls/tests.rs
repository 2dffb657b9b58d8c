//! PEM, names and sentences.
