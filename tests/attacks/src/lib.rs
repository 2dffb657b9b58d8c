//! Attacks on what may cross a border, as data files, run against three real regions.
//!
//! # The oracle: two worlds
//!
//! A *world* is a pair of datasets, `<name>_a` and `<name>_b`, that differ in one secret only: what one person, the
//! target, pays, where it lives, or whether it is there at all. An attack runs in both. It leaks where what it infers
//! tells the two apart: nothing of what the attacker knew before differs.
//!
//! Each attack has its *control*: the same steps with the guard switched off that it fights. The control has to
//! succeed, so that an attack that never could is found out. Guards are switched off by another purpose, for which the policy of
//! each dataset has a clause ([`files`]), or the control brings steps of its own.
//!
//! # How to write a case
//!
//! A file of `cases/` is one family. Worlds are shared by all families.
//!
//! ```toml
//! [[world]]
//! name = "celle"
//! secret = [20, 35]                       # what the control infers in `celle_a` and in `celle_b`; or [true, false]
//! persons = [                             # a list gives its values in turn
//!   { count = 30, city = "Aachen", amount = [10, 11, 12] },
//! ]
//! a = { city = "Celle", amount = 20 }     # the target, person 1000; left out where it is not there
//! b = { city = "Celle", amount = 35 }
//!
//! [[attack]]
//! name = "the total less all but one"
//! world = "celle"
//! control = "without-threshold"           # guard that is switched off
//! infer = "all.total - rest.total"        # see `infer`
//! indistinguishable = true                # all that came back is the same in both worlds, not just what is inferred
//! [attack.step]                           # in this order; `{t}` is the dataset
//! all = "SELECT sum(amount) AS total FROM {t}"
//! rest = "SELECT sum(amount) AS total FROM {t} WHERE city <> 'Celle'"
//! ```
//!
//! A step is SQL, asked at the edge of `us-east` of the rows in `eu-central`, unless `Data-Region` says otherwise; or a
//! table ([`case::Step`]): another edge, further headers, another client, an HTTP request to any path, rows that are
//! stored or deleted, a fragment forged with the secret of a region that was taken over.
//!
//! Where an attack is after something that it must not get at all, `obtain` is a condition that must hold in no world,
//! and does in the control. `fresh = true` gives an attack that changes rows datasets of its own,
//! and `plugins = true` deploys those of [`plugins`].

pub mod case;
pub mod files;
pub mod infer;
pub mod plugins;
pub mod report;
pub mod run;
pub mod transcript;
pub mod world;
