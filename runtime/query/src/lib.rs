//! Answers questions where the data lives: plans over the world, admits, asks each region, merges.
//!
//! The only user of DataFusion.

mod about;
mod admit;
mod aggregate;
mod backups;
mod bind;
mod catalog;
mod client;
mod compute;
mod copies;
mod crossing;
mod definition;
mod endpoint;
mod error;
mod explain;
mod expression;
mod flow;
mod fragment;
mod groups;
mod growth;
mod guard;
mod heads;
mod history;
mod key_domains;
mod leaf;
mod ledger;
mod loads;
mod local;
mod mapper_exec;
mod mapper_table;
mod masks;
mod narrow;
mod noise;
mod object_threads;
mod objects;
mod opaque;
mod owner;
mod pace;
mod parse;
mod parts;
mod plugin_check;
mod plugin_sql;
mod plugins;
mod policies;
mod predict;
mod proof;
mod query_plugin;
mod recheck;
mod reference;
mod region;
mod remote;
mod reply;
mod rewrites;
mod routes;
mod run;
mod segments;
mod settled;
mod split;
mod storage;
mod system;
mod total;

pub use catalog::Catalog;
pub use client::{Client, ClientTrust};
pub use copies::{CopyError, CopyParts, CopyQuestion, HomeCopy};
pub use endpoint::endpoint_request;
pub use error::QueryError;
pub use ledger::LedgerReader;
pub use local::select_local;
pub use object_threads::ObjectThreads;
pub use objects::ObjectFiles;
pub use plugins::{
    COMPARE_PATH, Deployment, PLUGINS_PATH, PluginSet, PluginTrust, ReleaseChange, VersionTally, change_release,
    compare_with_peers, deploy, policy_functions, remove, run_shadows, take_from,
};
pub use policies::{PolicySource, PolicyTrust, SignedPolicies, policies, reload_policies};
pub use proof::{Proof, explain_fragment, explain_plan, explain_residency};
pub use region::{Region, RegionParts};
pub use remote::FRAGMENT_PATH;
pub use reply::{FragmentReply, answer};
pub use rewrites::{offer, with_rewrites};
pub use routes::{PING_PATH, watch_routes};
pub use run::{Answer, QueryRequest, run};
pub use system::SystemTable;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
