//! Copies of rows in several regions, which are written anywhere and the same everywhere in the end.
//!
//! Time, randomness, disk and network are passed in.

pub mod conflict;
