//! What the guard costs in usefulness: ordinary questions of analysts, asked as they would ask them.
//!
//! `cases/*.toml` holds the questions. They were written down before anybody looked at which of them are admitted, and
//! stay as they are. All of them are asked over three regions under the policies of `regions/policies/`, as one user in
//! one go. An answer is right if SQLite, which has all rows and knows each one's home and entity, says so:
//!
//! - **Nothing is to be held back**: the answer has SQLite's rows, in SQLite's order.
//! - **Something is held back, and the question only groups**: each row of the answer is what SQLite makes of the rows of
//!   some of the regions, the asking one among them. The others hold that group back. What a region holds back has to be
//!   every group of its own that is *unsound*, by fewer entities than `minimum_entities` or by one with a larger share
//!   than `dominance_percent`, and beyond these only as many of the smallest ones as it takes until all that it holds
//!   back is sound together. More than that, such as what would come too near to an earlier release, is counted as held
//!   back beyond the rules, and a limit in the test says how much of it may be.
//! - **Something is held back, and further steps work on the groups**: SQLite leaves the rows of the groups that are
//!   unsound, and of the smallest needed, out at the place where the question groups, and has to come to the same answer.
//!   Where several groups are equally small, any of them may be meant: then the question is not compared.
//!
//! A condition inside an aggregate (CASE, FILTER) counts as a further group key: each side has to be sound by itself.
//! Numbers may differ by [`answer::RELATIVE`], since SQLite sums doubles; approximate functions by what the case says.

pub mod answer;
pub mod case;
mod dialect;
mod functions;
mod grouping;
pub mod judge;
pub mod oracle;
pub mod report;
pub mod soundness;
